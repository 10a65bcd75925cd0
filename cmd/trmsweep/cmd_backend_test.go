package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"trmsweep/internal/plugins"
)

func TestBackendCommand(t *testing.T) {
	dir, none := t.TempDir(), t.TempDir()
	t.Setenv(plugins.DirEnv, dir)
	t.Setenv("PJRT_PLUGIN_LIBRARY_PATH", none)
	wheel := filepath.Join(t.TempDir(), "lammps_jax_pjrt_cpu-0.11.2-py3-none-manylinux_2_27_x86_64.whl")
	if err := os.WriteFile(wheel, []byte("another"), 0o600); err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(none, "pjrt_c_api_cpu_plugin.so")
	if err := os.WriteFile(broken, []byte("cut"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args    string
		code    int
		message string
	}{
		"unknown":         {"install xla:gpu", exitUsage, "xla:cpu, xla:tpu, xla:cuda"},
		"no name":         {"install", exitUsage, "--help"},
		"another wheel":   {"install xla:cpu --wheel " + wheel, exitFailed, plugins.Known[0].Wheels[0].SHA256},
		"path of cpu":     {"path cpu", exitUsage, "has no plugin"},
		"path of missing": {"path xla:tpu", exitFailed, "backend install xla:tpu"},
		"path of damaged": {"path xla:cpu", exitFailed, broken},
		"no subcommand":   {"lst", exitUsage, "list"},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errs bytes.Buffer
			code := execute(t.Context(), append([]string{"backend"}, strings.Fields(c.args)...), &out, &errs)
			if code != c.code || !strings.Contains(errs.String(), c.message) {
				t.Errorf("exit code %d, %s; want %d and %q", code, errs.String(), c.code, c.message)
			}
		})
	}
	t.Run("list", func(t *testing.T) {
		var out, errs bytes.Buffer
		if code := execute(t.Context(), []string{"backend", "list", "--json"}, &out, &errs); code != exitOK {
			t.Fatal(code, errs.String())
		}
		var rows []backendRow
		if err := json.Unmarshal(out.Bytes(), &rows); err != nil {
			t.Fatal(err)
		}
		byName := map[string]backendRow{}
		for _, r := range rows {
			byName[r.Name] = r
		}
		if r := byName["cpu"]; !r.Opens || !r.Installed {
			t.Errorf("%+v", r)
		}
		if r := byName["xla:tpu"]; r.Opens || r.Installed || !strings.Contains(r.Detail, "backend install xla:tpu") || r.Version == "" {
			t.Errorf("%+v", r)
		}
		if r := byName["xla:cpu"]; r.Opens || r.Path != broken || !strings.Contains(r.Detail, "pjrt_c_api_cpu_plugin.so") {
			t.Errorf("%+v", r)
		}
	})
}
