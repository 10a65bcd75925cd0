package main

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"strings"
	"testing"

	"trmsweep/internal/clidoc"
)

var update = flag.Bool("update", false, "write this binary's part of docs/CLI.md")

func TestCommandReferenceIsUpToDate(t *testing.T) {
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); strings.HasPrefix(name, "TRMSWEEP_") {
			t.Setenv(name, "") // defaults come from there
		}
	}
	const file = "../../docs/CLI.md"
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := clidoc.Replace(string(got), "trmsweep", clidoc.Markdown(newRootCmd(&app{stdout: io.Discard, stderr: io.Discard})))
	want = clidoc.Replace(want, "exit codes", exitCodes(t))
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if string(got) != want || !strings.Contains(want, "### trmsweep train") {
		t.Error("docs/CLI.md is not what the commands say: `make docs` writes it")
	}
}

// exitCodes describes the codes of internal/protocol with their comments.
func exitCodes(t *testing.T) string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../../internal/protocol/exit.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("## Exit codes\n\n" +
		"A command of both binaries ends with 0 (done), 1 (failed) or 2 (wrong usage or configuration); one of trmsweep that\n" +
		"a signal ended, with 3. Those of `trmsweep train`, by which its parent decides what to do next:\n\n| code | meaning |\n|---|---|\n")
	for _, d := range file.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}
		for _, s := range g.Specs {
			v := s.(*ast.ValueSpec)
			code, ok := v.Values[0].(*ast.BasicLit)
			if ok && strings.HasPrefix(v.Names[0].Name, "Exit") {
				fmt.Fprintf(&b, "| %s | %s |\n", code.Value, strings.TrimSpace(v.Comment.Text()))
			}
		}
	}
	return b.String()
}
