package archtest

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// described are the documents that are written by hand and whose every path, command, flag, test and make target must exist.
var described = []string{"README.md", "docs/ARCHITECTURE.md", "docs/HOWTO.md"}

var (
	codeSpan = regexp.MustCompile("`([^`\n]+)`")
	testName = regexp.MustCompile(`\bTest[A-Z]\w+`)
	flagName = regexp.MustCompile(`(?:^|[\s(=])(--[a-z][a-z-]+)`)
	makeLine = regexp.MustCompile(`\bmake ([a-z0-9-]+)`)
	command  = regexp.MustCompile(`\b(trmsweep|tctl) ([a-z][a-z-]*(?: [a-z][a-z-]*)?)`)
	heading  = regexp.MustCompile(`(?m)^### ((?:trmsweep|tctl) .+)$`)
	folders  = `cmd|internal|workflows|activities|worker|configs|docs|e2e|tools|testdata|\.ci`
	rooted   = regexp.MustCompile(`(?:^|[\s(\[])((?:` + folders + `)(?:/[\w.*-]+)*/?)`)
	link     = regexp.MustCompile(`\]\(([^)#:]+)\)`)
)

// TestDocumentsNameWhatExists looks at the code in a document: spans between backticks, and indented or fenced lines.
func TestDocumentsNameWhatExists(t *testing.T) {
	cli := read(t, "docs/CLI.md")
	commands := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(cli, -1) {
		commands[m[1]] = true
	}
	makefile := read(t, "Makefile")
	tests := testNames(t)
	foreign := []string{"--input", "--task-queue", "--type", "--name"} // of `temporal`, which is not ours
	for _, doc := range described {
		t.Run(doc, func(t *testing.T) {
			text := read(t, doc)
			for _, m := range link.FindAllStringSubmatch(text, -1) {
				mustExist(t, filepath.Join(filepath.Dir(doc), m[1]))
			}
			for _, code := range codeOf(text) {
				if !strings.ContainsAny(code, "<>") {
					for _, m := range rooted.FindAllStringSubmatch(code, -1) {
						mustExist(t, strings.TrimSuffix(m[1], "."))
					}
				}
				for _, m := range makeLine.FindAllStringSubmatch(code, -1) {
					if !strings.Contains(makefile, "\n"+m[1]+":") {
						t.Errorf("the Makefile has no target of %q", m[0])
					}
				}
				for _, m := range command.FindAllStringSubmatch(code, -1) {
					first, _, _ := strings.Cut(m[2], " ")
					if !anyCommand(commands, m[1]+" "+m[2]) && !anyCommand(commands, m[1]+" "+first) {
						t.Errorf("there is no command %q (docs/CLI.md)", m[0])
					}
				}
				for _, m := range flagName.FindAllStringSubmatch(code, -1) {
					if !strings.Contains(cli, m[1]+" ") && !strings.Contains(cli, m[1]+"`") && !slices.Contains(foreign, m[1]) {
						t.Errorf("no command has the flag %s of %q (docs/CLI.md)", m[1], code)
					}
				}
				for _, name := range testName.FindAllString(code, -1) {
					if !tests[name] {
						t.Errorf("there is no %s", name)
					}
				}
			}
		})
	}
}

// TestArchitectureNamesEveryPackage holds that no folder with Go files is missing in the table of packages.
func TestArchitectureNamesEveryPackage(t *testing.T) {
	text := read(t, "docs/ARCHITECTURE.md")
	for _, pattern := range []string{"internal/*", "cmd/*"} {
		dirs, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(pattern)))
		if err != nil {
			t.Fatal(err)
		}
		for _, dir := range dirs {
			name, _ := filepath.Rel(root, dir)
			if !strings.Contains(text, "`"+filepath.ToSlash(name)+"`") {
				t.Errorf("docs/ARCHITECTURE.md does not name the package %s", name)
			}
		}
	}
}

// TestArchitectureShowsTheStore holds that the tree of the store is the one in the comment of internal/layout.
func TestArchitectureShowsTheStore(t *testing.T) {
	comment := read(t, "internal/layout/layout.go")
	_, comment, _ = strings.Cut(comment, "//\tSTORE/\n")
	comment, _, _ = strings.Cut(comment, "//\n// Names")
	want := "    STORE/\n" + strings.ReplaceAll("\n"+comment, "\n//\t", "\n    ")[1:]
	if !strings.Contains(read(t, "docs/ARCHITECTURE.md"), want) {
		t.Errorf("the tree of the store in docs/ARCHITECTURE.md is not that of internal/layout, which is\n%s", want)
	}
}

// TestDocumentsAreNarrow holds the prose of documents written by hand to 140 columns; rows of tables may be longer.
func TestDocumentsAreNarrow(t *testing.T) {
	for _, doc := range []string{"docs/ARCHITECTURE.md", "docs/HOWTO.md", "docs/LOG.md", "CHANGELOG.md"} {
		for i, line := range strings.Split(read(t, doc), "\n") {
			if n := len([]rune(line)); n > 140 && !strings.HasPrefix(line, "|") {
				t.Errorf("%s:%d: %d columns", doc, i+1, n)
			}
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(file)))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// mustExist takes a file, a folder, a pattern that something matches, or a planned package.
func mustExist(t *testing.T, path string) {
	t.Helper()
	if slices.ContainsFunc(rules, func(r rule) bool { return r.planned && r.pkg == path }) {
		return
	}
	found, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(path)))
	if err != nil || len(found) == 0 {
		t.Errorf("there is no %s", path)
	}
}

// codeOf lists what a document shows as code. Diagrams are not code.
func codeOf(text string) []string {
	var out []string
	fence := ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, "```") && fence == "":
			fence = line
		case strings.HasPrefix(line, "```"):
			fence = ""
		case fence == "```mermaid":
		case fence != "", strings.HasPrefix(line, "    "):
			code, _, _ := strings.Cut(line, " # ")
			out = append(out, code)
		default:
			for _, m := range codeSpan.FindAllStringSubmatch(line, -1) {
				out = append(out, m[1])
			}
		}
	}
	return out
}

// anyCommand says whether a command or a group of commands has the name.
func anyCommand(commands map[string]bool, name string) bool {
	if commands[name] {
		return true
	}
	for c := range commands {
		if strings.HasPrefix(c, name+" ") {
			return true
		}
	}
	return false
}

// testNames are the names of all tests of the repository.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	declared := regexp.MustCompile(`(?m)^func (Test[A-Z]\w*)\(`)
	names := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		data, err := os.ReadFile(path)
		for _, m := range declared.FindAllSubmatch(data, -1) {
			names[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
