package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestStoreKeysAreMadeInOnePlace checks that no package but internal/layout spells the keys of a store.
func TestStoreKeysAreMadeInOnePlace(t *testing.T) {
	prefixes := []string{"runs/", "specs/", "sweeps/", "datasets/", "sources/", "compiled/", "preflight/"}
	names := []string{"spec.json", "import.json", "HEAD.json", "MANIFEST.json", "result.json"}
	exempt := map[string]string{
		"internal/layout":        "it is the one place",
		"internal/experiment":    "sweeps/ is a folder of the configuration here",
		"internal/blob/blobtest": "any key will do",
	}
	err := eachLiteral(func(file string, text string) {
		if _, ok := exempt[filepath.ToSlash(filepath.Dir(file))]; ok {
			return
		}
		spelled := slices.Contains(names, text) || slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(text, p) })
		if spelled {
			t.Errorf("%s spells the key %q of the store: internal/layout makes and parses keys", file, text)
		}
	})
	if err != nil {
		t.Error(err)
	}
}

// eachLiteral calls visit for every string literal of the product's code except struct tags and import paths.
func eachLiteral(visit func(file, text string)) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		hidden := strings.HasPrefix(d.Name(), ".") && path != root
		skipped := hidden || d.Name() == "testdata"
		if d.IsDir() && skipped {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		file, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ImportSpec:
				return false
			case *ast.Field:
				n.Tag = nil
			case *ast.BasicLit:
				if text, err := strconv.Unquote(n.Value); n.Kind == token.STRING && err == nil {
					visit(file, text)
				}
			}
			return true
		})
		return nil
	})
}
