package aot

import (
	"os"
	"path/filepath"
	"testing"
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
	if !ok || got.Temporary != kept.Temporary || got.Refused == nil || *got.Refused != *kept.Refused {
		t.Errorf("%+v, %v", got, ok)
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
	for name, text := range map[string]string{"empty": "", "cut": `{"format": 1, "top`, "format": `{"format": 0}`, "another's": `{"format": 1, "program": "other"}`} {
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
