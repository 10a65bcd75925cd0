package archtest

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// mayImportGoMLX are the packages, with those below them, that import GoMLX or go-xla. All others reach the model through
// internal/train and internal/trm.
var mayImportGoMLX = []string{"internal/aot", "internal/backend", "internal/cpu", "internal/pjrt", "internal/trm"}

func TestFewPackagesImportGoMLX(t *testing.T) {
	found := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		file := filepath.ToSlash(strings.TrimPrefix(path, root+string(filepath.Separator)))
		for _, spec := range f.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if !matches(imported, gomlx) {
				continue
			}
			i := slices.IndexFunc(mayImportGoMLX, func(p string) bool { return under(file, p) })
			if i < 0 {
				t.Errorf("%s imports %s; only %s may", file, imported, strings.Join(mayImportGoMLX, ", "))
				continue
			}
			found[mayImportGoMLX[i]] = true
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	for _, p := range mayImportGoMLX {
		if !found[p] {
			t.Errorf("%s does not import GoMLX any more: take it out of the list", p)
		}
	}
}
