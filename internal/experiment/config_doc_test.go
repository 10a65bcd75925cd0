package experiment

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"trmsweep/configs"
)

var update = flag.Bool("update", false, "write docs/CONFIG.md")

const configIntro = `# Configuration keys

Written by ` + "`make docs`" + ` from internal/experiment/spec.go and configs/base.yaml: do not edit.

A specification is composed from base.yaml, the experiment's file, the profile's factors and values, variables of the environment
(` + "`TRMSWEEP_SET_HIDDEN_SIZE=64`" + `) and ` +
	"`--set hidden_size=64`" + `, the later over the earlier. A profile scales a key by a factor or sets it.
An unknown key, a wrong type and a value that contradicts another are errors; all of them are reported together.

The default is what base.yaml says; where it is "-", an experiment's file gives the value or the key is empty.

A run is named by the hash of its specification and by its seed. "In the hash" says which keys are in it:

- **yes**: at every value. Another value is another run.
- **no**: never. The key changes how a run is named, watched or kept, and nothing that it computes.
- **unless V**: at every value but V, its neutral value, which is what programs that did not know the key computed. A key that is
  added after the first release is of this kind, so that it renames no run (docs/HOWTO.md). No key is yet.

The hash has a format, now %d, which is part of it. Format 1 (programs up to commit c500883) hashed ` +
	"`num_workers`" + ` too, which computed
nothing and is no key any more, and so gave runs other names. A run of such a store that has a checkpoint is not trained again: it is
found by its specification (with the number of workers that the profiles had, 8 or 1), goes on under its old name, and is in reports
under that name; ` + "`train`" + ` says so. A run that was begun with another ` +
	"`--set num_workers`" + ` goes on only by ` + "`train --run OLD_NAME`" + `: without that it
stays as it is, and its specification is trained anew under the new name. What such a store's sweeps had in Temporal is not taken over:
let them end, or cancel them, with the old program, and start the sweep again with this one.
`

// configReference is docs/CONFIG.md: the fields of Spec with their comments, units and defaults.
func configReference(t *testing.T) string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "spec.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	base, err := readLayer(configs.FS, "base.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var spec *ast.StructType
	ast.Inspect(file, func(n ast.Node) bool {
		if ts, ok := n.(*ast.TypeSpec); ok && ts.Name.Name == "Spec" {
			spec = ts.Type.(*ast.StructType)
		}
		return true
	})
	var b strings.Builder
	fmt.Fprintf(&b, configIntro, hashFormat)
	at := spec.Pos()
	for i, f := range spec.Fields.List {
		for _, c := range file.Comments { // a comment that no field has opens a group
			if c.Pos() > at && c.End() < f.Pos() && c != f.Doc {
				fmt.Fprintf(&b, "\n## %s\n\n| key | type | default | unit | in the hash | what it is |\n|---|---|---|---|---|---|\n",
					strings.TrimRight(strings.TrimSpace(c.Text()), "."))
			}
		}
		at = f.Pos()
		name, about, _ := strings.Cut(strings.Join(strings.Fields(f.Doc.Text()), " "), " ")
		if name != f.Names[0].Name {
			t.Errorf("spec.go: the comment of %s begins with %q, want its name", f.Names[0].Name, name)
		}
		about = strings.TrimPrefix(about, "is ")
		b.WriteString(fields[i].row(base, about))
	}
	return b.String()
}

// row is the line of a key.
func (f field) row(base layer, about string) string {
	def, unit, hash := "-", f.unit, "no"
	if v, given := base.values[f.key]; given {
		def = fmt.Sprintf("`%v`", v)
	}
	if slices.Contains(derived, f.key) {
		def = "not set: see --profile and the file's name"
	}
	switch {
	case f.hash.neutral != nil:
		hash = fmt.Sprintf("unless `%v`", f.hash.neutral)
	case f.hash.hashed:
		hash = "yes"
	}
	typ := map[reflect.Kind]string{reflect.Bool: "true or false", reflect.Int: "whole number", reflect.Int64: "whole number",
		reflect.Float64: "number", reflect.String: "text"}[f.kind]
	return fmt.Sprintf("| `%s` | %s | %s | %s | %s | %s |\n", f.key, typ, def, unit, hash, about)
}

func TestConfigReferenceIsUpToDate(t *testing.T) {
	const file = "../../docs/CONFIG.md"
	want := configReference(t)
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("docs/CONFIG.md is not what the code says: `make docs` writes it")
	}
}
