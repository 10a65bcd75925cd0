package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

var update = flag.Bool("update", false, "write the rules into .golangci.yml")

const root = "../.."

// under says whether path is prefix itself or lies below it, compared by whole path elements.
func under(path, prefix string) bool {
	return path == prefix || strings.HasPrefix(path, prefix+"/")
}

func matches(path string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return under(path, p) })
}

// forbidden says whether the rule denies this import in a file of its package.
func (r rule) forbidden(path string) bool {
	denied := matches(path, r.deny) && !matches(path, r.allow)
	return denied || matches(path, r.never)
}

// TestFilesImportOnlyWhatTheirRulesPermit reads every file, whatever its build constraints.
func TestFilesImportOnlyWhatTheirRulesPermit(t *testing.T) {
	for _, r := range rules {
		dir := filepath.Join(root, filepath.FromSlash(r.pkg))
		if _, err := os.Stat(dir); r.planned && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		files := 0
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			files++
			f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
			if err != nil {
				return err
			}
			for _, spec := range f.Imports {
				imported, err := strconv.Unquote(spec.Path.Value)
				if err != nil {
					return err
				}
				if r.forbidden(imported) {
					t.Errorf("%s imports %s, which %s may not: %s", strings.TrimPrefix(path, root+"/"), imported, r.pkg, r.why)
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if files == 0 {
			t.Errorf("no Go file in %s: has the package moved? then its rule must be changed too", r.pkg)
		}
	}
}

// TestNoChainOfImportsReachesAForbiddenPackage follows imports of imports, as this machine builds them.
func TestNoChainOfImportsReachesAForbiddenPackage(t *testing.T) {
	cmd := exec.Command("go", "list", "-e", "-deps", "-json=ImportPath,Imports", "./...")
	cmd.Dir = root
	cmd.Stderr = os.Stderr
	data, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	imports := map[string][]string{}
	for dec := json.NewDecoder(bytes.NewReader(data)); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		imports[p.ImportPath] = p.Imports
	}
	for _, r := range rules {
		for pkg := range imports {
			if !under(pkg, "trmsweep/"+r.pkg) {
				continue
			}
			if chain := chainTo(imports, pkg, r.never); chain != nil {
				t.Errorf("%s: %s may not: %s", strings.Join(chain, " -> "), r.pkg, r.why)
			}
		}
	}
}

// chainTo returns the shortest chain of imports from pkg to a denied package, nil if there is none.
func chainTo(imports map[string][]string, pkg string, denied []string) []string {
	from := map[string]string{pkg: ""}
	for queue := []string{pkg}; len(queue) > 0; queue = queue[1:] {
		for _, next := range imports[queue[0]] {
			if _, seen := from[next]; seen {
				continue
			}
			from[next] = queue[0]
			if matches(next, denied) {
				chain := []string{}
				for p := next; p != ""; p = from[p] {
					chain = append([]string{p}, chain...)
				}
				return chain
			}
			queue = append(queue, next)
		}
	}
	return nil
}

func TestRulesForbidByPathPrefix(t *testing.T) {
	byPackage := map[string]rule{}
	for _, r := range rules {
		byPackage[r.pkg] = r
	}
	for _, tc := range []struct {
		pkg, path string
		want      bool
	}{
		{"workflows", "os", true},
		{"workflows", "os/exec", true},
		{"workflows", "net/http", true},
		{"workflows", "math/rand/v2", true},
		{"workflows", "math", false},
		{"workflows", "trmsweep/activities", false},
		{"internal/cpu", "trmsweep/internal/cpu/kernel", false},
		{"internal/cpu", "trmsweep/internal/cpukernel", true},
		{"internal/train", "go.temporal.io/sdk/client", true},
		{"internal/sudoku", "golang.org/x/sys/cpu", true},
		{"cmd/devstack", "trmsweep/internal/queues", true},
		{"cmd/devstack", "trmsweep/internal/guard", false},
	} {
		if got := byPackage[tc.pkg].forbidden(tc.path); got != tc.want {
			t.Errorf("%s importing %s: forbidden %v, want %v", tc.pkg, tc.path, got, tc.want)
		}
	}
	chain := chainTo(map[string][]string{"a": {"x", "b"}, "b": {"c"}, "c": {"bad/deep"}}, "a", []string{"bad"})
	if got := strings.Join(chain, " "); got != "a b c bad/deep" {
		t.Errorf("chain %q", got)
	}
}

// depguard is the part of .golangci.yml that repeats the rules.
type depguard map[string]depguardRule

type depguardRule struct {
	ListMode string         `yaml:"list-mode"`
	Files    []string       `yaml:"files"`
	Allow    []string       `yaml:"allow,omitempty"`
	Deny     []depguardDeny `yaml:"deny"`
}

type depguardDeny struct {
	Pkg  string `yaml:"pkg"`
	Desc string `yaml:"desc"`
}

func wantDepguard() depguard {
	out := depguard{}
	for _, r := range rules {
		g := depguardRule{ListMode: "lax", Files: []string{"**/" + r.pkg + "/**", "!$test"}, Allow: r.allow}
		for _, p := range join(r.deny, r.never) {
			g.Deny = append(g.Deny, depguardDeny{p, r.why})
		}
		out[strings.ReplaceAll(r.pkg, "/", "-")] = g
	}
	return out
}

func TestLinterConfigurationRepeatsTheRules(t *testing.T) {
	path := filepath.Join(root, ".golangci.yml")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const mark = "# The rest is written by `go test ./internal/archtest/ -update`.\n"
	head, tail, ok := strings.Cut(string(data), mark)
	if !ok {
		t.Fatalf("%s lacks the line %q", path, mark)
	}
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(map[string]any{"rules": wantDepguard()}); err != nil {
		t.Fatal(err)
	}
	const indent = "      " // below linters: settings: depguard:
	want := indent + strings.ReplaceAll(strings.TrimSpace(b.String()), "\n", "\n"+indent) + "\n"
	if *update {
		if err := os.WriteFile(path, []byte(head+mark+want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if tail != want {
		t.Errorf("the rules of .golangci.yml are not those of rules_test.go: go test ./internal/archtest/ -update")
	}
}
