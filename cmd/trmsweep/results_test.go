package main

import (
	"bytes"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A store that was copied without its hidden folder, perhaps to where nothing can
// be written, is read and left as it is.
func TestReadersLeaveTheStoreAsItIs(t *testing.T) {
	store, runs := studyStore(t)
	if err := os.RemoveAll(filepath.Join(store, ".trmsweep-store")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"compare " + runs[0] + " " + runs[1], exitOK, "final exact accuracy"},
		{"verify nope", exitUsage, "no such run"},
		{"export nope --out x", exitUsage, "there is no run"},
	} {
		var out bytes.Buffer
		code := execute(t.Context(), append(strings.Fields(c.args), "--store", store, "--state", t.TempDir()), &out, &out)
		if code != c.code || !strings.Contains(out.String(), c.want) {
			t.Errorf("%s: exit code %d: %s", c.args, code, out.String())
		}
		if _, err := os.Stat(filepath.Join(store, ".trmsweep-store")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s wrote to the store: %v", c.args, err)
		}
	}
}

// The default store is the running stack's where nothing else is named.
func TestEmbeddedStorageIsTheDefault(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	address := "http://" + l.Addr().String()
	a := &app{stateDir: t.TempDir()}
	if err := os.WriteFile(a.path("devstack.json"), []byte(`{"temporal":"127.0.0.1:1","gcs":"`+address+`"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	const def = defaultStore
	for _, c := range []struct{ name, store, env, want string }{
		{"default", def, "", address},
		{"another bucket", "gs://mine", "", ""},
		{"a folder", "store", "", ""},
		{"the same by name", def, "TRMSWEEP_STORE=" + def, ""},
		{"another emulator", def, "STORAGE_EMULATOR_HOST=other", "other"},
		{"another server", def, "TEMPORAL_ADDRESS=far:7233", ""},
	} {
		for _, name := range []string{"TRMSWEEP_STORE", "STORAGE_EMULATOR_HOST", "TEMPORAL_ADDRESS"} {
			t.Setenv(name, "")
		}
		if name, value, ok := strings.Cut(c.env, "="); ok {
			t.Setenv(name, value)
		}
		if err := useEmbeddedStorage(a, c.store); err != nil {
			t.Fatal(err)
		}
		if got := os.Getenv("STORAGE_EMULATOR_HOST"); got != c.want {
			t.Errorf("%s: emulator %q, want %q", c.name, got, c.want)
		}
	}
	if err := os.WriteFile(a.path("devstack.json"), []byte(`{"temporal":"127.0.0.1:1","gcs":"http://127.0.0.1:1"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TEMPORAL_ADDRESS", "")
	if err := useEmbeddedStorage(a, def); err != nil || os.Getenv("STORAGE_EMULATOR_HOST") != "" {
		t.Errorf("a stack that is gone: emulator %q, %v", os.Getenv("STORAGE_EMULATOR_HOST"), err)
	}
}

// Whoever reads a store does not make it.
func TestReadersMakeNoStore(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"verify --run r", "eval --run r", "report --profile smoke", "compare a b", "export r --out OUT"} {
		dir := t.TempDir()
		missing := filepath.Join(dir, "missing")
		for _, store := range []string{missing, file} {
			for _, by := range []string{"flag", "environment"} {
				args := strings.Fields(strings.ReplaceAll(command, "OUT", filepath.Join(dir, "w.safetensors")))
				args = append(args, "--state", filepath.Join(dir, "state"))
				t.Setenv("TRMSWEEP_STORE", store)
				if by == "flag" {
					t.Setenv("TRMSWEEP_STORE", "")
					args = append(args, "--store", store)
				}
				var out bytes.Buffer
				code := execute(t.Context(), args, &out, &out)
				if code != exitUsage || !strings.Contains(out.String(), "no such run") || !strings.Contains(out.String(), store) {
					t.Errorf("%s, store %s by %s: exit code %d: %s", command, store, by, code, out.String())
				}
			}
		}
		if _, err := os.Stat(missing); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s made the store: %v", command, err)
		}
	}
}
