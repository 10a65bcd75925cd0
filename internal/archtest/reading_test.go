package archtest

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

const (
	mostColumns = 140
	mostValues  = 3 // that a function returns or a statement assigns
)

// fourResults are functions of other modules that return more than mostValues.
var fourResults = []string{"runtime.Caller"}

// TestCodeReadsOneIdeaAtATime holds all Go files, tests too, to what a reader can take in at once.
func TestCodeReadsOneIdeaAtATime(t *testing.T) {
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		hidden := strings.HasPrefix(d.Name(), ".") && path != root
		if d.IsDir() && hidden {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		file, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		found, err := hardToRead(filepath.ToSlash(file), src)
		for _, f := range found {
			t.Error(f)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// hardToRead returns a message for every place of a file that breaks a rule: where it is, what it has and what to do.
func hardToRead(file string, src []byte) ([]string, error) {
	faults := map[int]string{}
	for i, line := range bytes.Split(src, []byte("\n")) {
		if n := utf8.RuneCount(line); n > mostColumns {
			faults[i+1] = fmt.Sprintf("%d columns: break the line, %d are enough", n, mostColumns)
		}
	}
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, file, src, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if fault := hardNode(n); fault != "" {
			faults[fset.Position(n.Pos()).Line] = fault
		}
		return true
	})
	var out []string
	for _, line := range slices.Sorted(maps.Keys(faults)) {
		out = append(out, fmt.Sprintf("%s:%d: %s", file, line, faults[line]))
	}
	return out, nil
}

// hardNode says what is wrong with one node of a syntax tree and what to do; nothing if it is fine.
func hardNode(n ast.Node) string {
	switch n := n.(type) {
	case *ast.FuncType:
		if r := n.Results.NumFields(); r > mostValues {
			return fmt.Sprintf("%d results: return a struct with named fields, or make two functions", r)
		}
	case *ast.AssignStmt:
		if len(n.Lhs) > mostValues && !callsOther(n.Rhs) {
			return fmt.Sprintf("%d values assigned at once: write one assignment a line", len(n.Lhs))
		}
	case *ast.ValueSpec:
		if len(n.Names) > mostValues && len(n.Values) > 0 {
			return fmt.Sprintf("%d values declared at once: write one a line", len(n.Names))
		}
	case *ast.BinaryExpr:
		if mixes(n) {
			return "the condition mixes && and ||: give a part a name, or use a switch"
		}
	}
	return ""
}

// callsOther says whether the right side of an assignment is a call of fourResults.
func callsOther(right []ast.Expr) bool {
	call, ok := right[0].(*ast.CallExpr)
	if !ok {
		return false
	}
	f, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	pkg, ok := f.X.(*ast.Ident)
	return ok && slices.Contains(fourResults, pkg.Name+"."+f.Sel.Name)
}

// mixes says whether an operand of && has || in it, or an operand of || has &&, in parentheses or not.
func mixes(n *ast.BinaryExpr) bool {
	switch n.Op {
	case token.LAND:
		return contains(n.X, token.LOR) || contains(n.Y, token.LOR)
	case token.LOR:
		return contains(n.X, token.LAND) || contains(n.Y, token.LAND)
	}
	return false
}

// contains says whether a condition has the operator in it. It does not look into the arguments of calls.
func contains(e ast.Expr, op token.Token) bool {
	switch e := e.(type) {
	case *ast.ParenExpr:
		return contains(e.X, op)
	case *ast.UnaryExpr:
		return contains(e.X, op)
	case *ast.BinaryExpr:
		return e.Op == op || contains(e.X, op) || contains(e.Y, op)
	}
	return false
}

func TestPlacesThatAreHardToRead(t *testing.T) {
	for _, c := range []struct {
		name, code, want string // want is part of the message; empty: there is none
	}{
		{"a line that fits", "// " + strings.Repeat("ä", mostColumns-3), ""},
		{"a long line", "// " + strings.Repeat("ä", mostColumns-2), "141 columns"},
		{"three results", "func f() (a, b int, err error) { return }", ""},
		{"four results", "func f() (a, b, c int, err error) { return }", "4 results"},
		{"four results of a literal", "var f = func() (a, b, c, d int) { return }", "4 results"},
		{"three targets", "func f() { a, b, c := g() }", ""},
		{"four targets", "func f() { a, b, c, d := g() }", "4 values assigned"},
		{"four targets of another module's function", "func f() { _, file, _, _ := runtime.Caller(0) }", ""},
		{"four names without values", "var a, b, c, d int", ""},
		{"four names with values", "const a, b, c, d = 1, 2, 3, 4", "4 values declared"},
		{"one operator", "var a = b && c && !(d && e)", ""},
		{"both operators", "var a = b || c && d", "mixes && and ||"},
		{"in parentheses", "var a = b && (c || d)", "mixes && and ||"},
		{"negated and compared", "var a = b && !(c == (d || e))", "mixes && and ||"},
		{"in a call", "var a = b && f(c || d)", ""},
		{"in a function", "var a = b && slices.ContainsFunc(s, func(x int) bool { return c || d })", ""},
	} {
		got, err := hardToRead("a.go", []byte("package a\n\n"+c.code+"\n"))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		message := strings.Join(got, "\n")
		ok := message == ""
		if c.want != "" {
			ok = strings.HasPrefix(message, "a.go:3: ") && strings.Contains(message, c.want)
		}
		if !ok {
			t.Errorf("%s: %q, want %q", c.name, message, c.want)
		}
	}
}
