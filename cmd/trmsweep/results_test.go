package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

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
				if code := execute(t.Context(), args, &out, &out); code != exitUsage || !strings.Contains(out.String(), "no such run") || !strings.Contains(out.String(), store) {
					t.Errorf("%s, store %s by %s: exit code %d: %s", command, store, by, code, out.String())
				}
			}
		}
		if _, err := os.Stat(missing); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s made the store: %v", command, err)
		}
	}
}
