//go:build cgo && (linux || darwin)

package pjrt

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	xla "github.com/gomlx/go-xla/pkg/pjrt"
)

// table builds testdata/table.c. Without a C compiler the test is skipped, or fails if TRMSWEEP_REQUIRE_XLA=1 says that it must run.
func table(t *testing.T, major, minor, size int) string {
	t.Helper()
	cc, err := exec.LookPath("cc")
	if err != nil {
		if os.Getenv("TRMSWEEP_REQUIRE_XLA") == "1" {
			t.Fatal(err)
		}
		t.Skip("NOT RUN: no C compiler for a plugin of the test's own")
	}
	path := filepath.Join(t.TempDir(), "table.so")
	out, err := exec.Command(cc, "-shared", "-fPIC", "-o", path, fmt.Sprintf("-DMAJOR=%d", major), fmt.Sprintf("-DMINOR=%d", minor),
		fmt.Sprintf("-DSIZE=%d", size), "testdata/table.c").CombinedOutput()
	if err != nil {
		t.Fatalf("build a plugin: %v\n%s", err, out)
	}
	return path
}

func TestOpenRefuses(t *testing.T) {
	text := filepath.Join(t.TempDir(), "text.so")
	if err := os.WriteFile(text, []byte("no library"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ path, message string }{
		"no file":       {"/none/such.so", "no such file"},
		"text":          {text, text},
		"too old":       {table(t, 0, 56, 600), "PJRT API 0.56 is too old"},
		"another major": {table(t, 1, 2, 600), "its PJRT API is 1.2"},
	} {
		if _, err := Open(c.path); err == nil || !strings.Contains(err.Error(), c.message) {
			t.Errorf("%s: %v; want %q", name, err, c.message)
		}
	}
}

// TestTable: a table that ends early has errors instead of null pointers, and errors of both kinds can be read.
func TestTable(t *testing.T) {
	p, err := Open(table(t, 0, 60, 200)) // ends within the functions of clients
	if err != nil {
		t.Fatal(err)
	}
	if again, err := Open(p.Path); again != p || err != nil {
		t.Errorf("opened twice: %v, %v", again, err)
	}
	plugin, err := xla.GetPlugin(p.Path)
	if err != nil {
		t.Fatal(err)
	}
	create := func(options xla.NamedValuesMap) func() error {
		return func() error {
			_, err := plugin.NewClient(options)
			return err
		}
	}
	for name, c := range map[string]struct {
		options xla.NamedValuesMap
		message string
	}{
		"ours":       {nil, "this plugin lacks a PJRT function"},
		"the plugin": {xla.NamedValuesMap{"x": int64(1)}, "the plugin's own error"},
	} {
		if _, err := p.NewClient(Settings{}, create(c.options)); err == nil || !strings.Contains(err.Error(), c.message) {
			t.Errorf("%s: %v; want %q", name, err, c.message)
		}
	}
}
