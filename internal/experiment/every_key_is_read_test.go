package experiment

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// A key that nobody reads changes nothing: it has no place in the specification, and even less in the hash. A reader
// is a selector with the field's name in product code outside this package, or in the schedule, which training follows.
func TestEveryKeyIsRead(t *testing.T) {
	read := map[string][]string{}
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel("../..", path)
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && len(d.Name()) > 2, d.IsDir() && d.Name() == "testdata":
			return filepath.SkipDir
		case d.IsDir(), filepath.Ext(path) != ".go", strings.HasSuffix(path, "_test.go"):
			return nil
		case filepath.Dir(rel) == "internal/experiment" && !slices.Contains([]string{"schedule.go", "cost.go"}, d.Name()):
			return nil
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, src, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				read[sel.Sel.Name] = append(read[sel.Sel.Name], rel)
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range reflect.TypeFor[Spec]().NumField() {
		name := reflect.TypeFor[Spec]().Field(i).Name
		by := slices.DeleteFunc(read[name], func(file string) bool { return file == "internal/experiment/cost.go" })
		if len(by) == 0 {
			t.Errorf("%s (%s) is read by nobody", fields[i].key, name)
		}
	}
}
