package dataset

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSourcesBelowDataRoots(t *testing.T) {
	base := t.TempDir()
	at := func(name string) string { return filepath.Join(base, filepath.FromSlash(name)) }
	for _, name := range []string{"data/train.csv", "data/sub/x.csv", "other/train.csv", "data2/x.csv", "one.csv"} {
		writeFile(t, at(name), []byte("x"))
	}
	for link, to := range map[string]string{
		"data/out": "../other", "data/out.csv": at("other/train.csv"), "data/in": "sub", "alias": "data", "data/to/nowhere": at("none/x"),
		"data/escape/train.csv": at("other/train.csv"),
		"data/gone":             at("none"),
	} {
		if err := os.MkdirAll(filepath.Dir(at(link)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(to, at(link)); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(base)
	for _, c := range []struct {
		source string
		roots  []string
		ok     bool
	}{
		{"generate", nil, true}, {"generate:easy", nil, true}, {"hf:owner/name", nil, true}, {"gs://bucket/x.csv", nil, true},
		{"generates", nil, false}, {"/etc/passwd", nil, false}, {"file:///etc/passwd", nil, false}, {"-", nil, false},
		{"/proc/self/environ", []string{at("data")}, false}, {"/dev/zero", []string{at("data")}, false},
		{at("data"), []string{at("data")}, true}, {at("data/train.csv"), []string{at("other"), at("data")}, true},
		{at("data/sub/x.csv"), []string{at("data")}, true},
		{at("data2/x.csv"), []string{at("data")}, false}, {at("data/../other/train.csv"), []string{at("data")}, false},
		{base, []string{at("data")}, false}, {at("data/sub/../train.csv"), []string{at("data")}, true},
		{at("data/none.csv"), []string{at("data")}, true}, {at("none/x.csv"), []string{at("data")}, false},
		{"data/train.csv", []string{at("data")}, true}, {at("data/train.csv"), []string{"data"}, true}, {"data", []string{"."}, true},
		{at("one.csv"), []string{at("one.csv")}, true}, {at("data2/x.csv"), []string{at("one.csv")}, false},
		// links, both ways
		{at("alias/train.csv"), []string{at("data")}, true}, {at("data/train.csv"), []string{at("alias")}, true},
		{at("data/in/x.csv"), []string{at("data")}, true},
		{at("data/out/train.csv"), []string{at("data")}, false}, {at("data/out.csv"), []string{at("data")}, false},
		{at("data/escape"), []string{at("data")}, false},
		{at("data/gone"), []string{at("data")}, false}, {at("data/gone/x.csv"), []string{at("data")}, false},
		{at("data/to/nowhere"), []string{at("data")}, false},
	} {
		err := CheckRoots(c.source, c.roots)
		right := err == nil
		if !c.ok {
			right = errors.Is(err, ErrInput) && strings.Contains(err.Error(), "--data-root")
		}
		if !right {
			t.Errorf("%s below %v: %v", c.source, c.roots, err)
		}
	}
}
