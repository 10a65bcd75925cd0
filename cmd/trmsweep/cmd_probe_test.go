package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// init lets this test stand for the program when preflight starts it.
func init() {
	if len(os.Args) == 3 && os.Args[1] == "probe-backend" {
		os.Exit(execute(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
	}
}

func TestBackendsOfThisMachine(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PJRT_PLUGIN_LIBRARY_PATH", dir)
	for name, want := range map[string][]string{
		"auto": {"auto is cpu", "no XLA plugin", "Go CPU backend"},
		"go":   {"go: "},
	} {
		got, err := checkBackends(t.Context(), name, nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, w := range want {
			if !strings.Contains(got, w) {
				t.Errorf("%s: %q lacks %q", name, got, w)
			}
		}
	}
	if got, err := checkBackends(t.Context(), "xla:tpu", nil); err == nil || !strings.Contains(err.Error(), "xla:tpu") {
		t.Errorf("xla:tpu: %q, %v", got, err)
	}
	broken := filepath.Join(dir, "pjrt_c_api_tpu_plugin.so")
	if err := os.WriteFile(broken, []byte("cut"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := checkBackends(t.Context(), "auto", nil)
	if err != nil || !strings.Contains(got, "auto is cpu") || !strings.Contains(got, "xla:tpu: ") {
		t.Errorf("with a damaged plugin: %q, %v", got, err)
	}
}
