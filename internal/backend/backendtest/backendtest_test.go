package backendtest

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestWithoutAPlugin runs TestEach in processes that find no plugin: its XLA part is skipped with one line, or fails where XLA is required.
func TestWithoutAPlugin(t *testing.T) {
	for name, c := range map[string]struct {
		require, line string
		fails         bool
	}{
		"not required": {"", "NOT RUN on xla:cpu", false},
		"required":     {"1", "open backend xla:cpu", true},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestEach$", "-test.v")
			cmd.Env = append(os.Environ(), "PJRT_PLUGIN_LIBRARY_PATH="+t.TempDir(), requireEnv+"="+c.require, chooseEnv+"=")
			out, err := cmd.CombinedOutput()
			if (err != nil) != c.fails || strings.Count(string(out), c.line) != 1 {
				t.Errorf("%v; want %q once in:\n%s", err, c.line, out)
			}
		})
	}
}

func TestEach(t *testing.T) {
	var ran []string
	Each(t, func(t *testing.T, name string) {
		ran = append(ran, name)
		if Open(t, name) != Open(t, name) {
			t.Error("opened twice")
		}
		if info := Info(t, name); info.Name != name || info.Devices < 1 {
			t.Errorf("%+v", info)
		}
	})
	if len(ran) < 2 {
		t.Errorf("ran on %v", ran)
	}
}
