package aot

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCache(t *testing.T) {
	c := Cache{Dir: filepath.Join(t.TempDir(), "cache", "aot")}
	if !c.Empty() {
		t.Error("a folder that is not there is not empty")
	}
	kept := Compiled{Seconds: 3, Temporary: 1 << 30, FLOPs: 1e12, Refused: &TooBig{2, 1}}
	if err := c.Put("program", "libtpu", "v4:2x2x1", kept); err != nil {
		t.Fatal(err)
	}
	got, ok := c.Get("program", "libtpu", "v4:2x2x1")
	if !ok {
		t.Fatal("not found")
	}
	if diff := cmp.Diff(kept, got); diff != "" {
		t.Errorf("what the cache gives back (-want +got):\n%s", diff)
	}
	for name, key := range map[string][3]string{
		"program":  {"other", "libtpu", "v4:2x2x1"},
		"libtpu":   {"program", "other", "v4:2x2x1"},
		"topology": {"program", "libtpu", "v4:2x2x2"},
	} {
		if _, ok := c.Get(key[0], key[1], key[2]); ok {
			t.Errorf("found with another %s", name)
		}
	}
	t.Run("flags", func(t *testing.T) {
		t.Setenv("LIBTPU_INIT_ARGS", "--xla_tpu_something=1")
		if _, ok := c.Get("program", "libtpu", "v4:2x2x1"); ok {
			t.Error("found though the compiler is told something else")
		}
	})
	path := c.path("program", "libtpu", "v4:2x2x1")
	for name, text := range map[string]string{
		"empty":     "",
		"cut":       `{"format": 1, "top`,
		"format":    `{"format": 0}`,
		"another's": `{"format": 1, "program": "other"}`,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, ok := c.Get("program", "libtpu", "v4:2x2x1"); ok {
			t.Errorf("a file that is %s was believed", name)
		}
	}
	if found := c.entries("v4:2x2x1"); len(found) != 0 {
		t.Errorf("entries %+v of a damaged file", found)
	}
}
