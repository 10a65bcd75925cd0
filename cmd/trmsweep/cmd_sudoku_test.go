package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSudokuSolveAndDatasetExitCodes(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return p
	}
	blank := strings.Repeat(".", 81)
	good := "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79"
	solution := "534678912672195348198342567859761423426853791713924856961537284287419635345286179"
	for _, c := range []struct {
		name   string
		args   []string
		code   int
		stdout string
		stderr string
	}{
		{"solve", []string{"sudoku", "solve", write("p.txt", good+"\n"+blank+"\n11"+blank[2:]+"\n")}, 0,
			solution + "\nseveral solutions\nno solution\n", ""},
		{"bad line", []string{"sudoku", "solve", write("bad.txt", good+"\nxyz\n")}, 1, "", "line 2"},
		{"bad lines left out", []string{"sudoku", "solve", "--skip-bad", "--json", write("bad2.txt", "x\n"+good+"\nxyz\n")}, 0, "",
			"bad2.txt: line 3: puzzle has 3 characters, want 81; left out"},
		{"a CSV", []string{"sudoku", "solve", write("k.csv", "quizzes,solutions\n"+good+","+solution+"\n")}, 0, solution + "\n", ""},
		{"endless line", []string{"sudoku", "solve", write("long.txt", good+"\n"+strings.Repeat("1", 1<<21))}, 1, solution + "\n",
			"line 2 is longer than 65536 bytes"},
		{"no split of that name", []string{"dataset", "show", dir, "--split", "../x"}, 2, "", "want train or test"},
		{"no file", []string{"sudoku", "solve", filepath.Join(dir, "nope")}, 2, "", "nope"},
		{"limit", []string{"sudoku", "solve", "--count-limit", "0"}, 2, "", "count-limit"},
		{"no source", []string{"dataset", "build", "--out", filepath.Join(dir, "o")}, 2, "", "--source"},
		{"missing source", []string{"dataset", "build", "--source", filepath.Join(dir, "no.csv"), "--out", filepath.Join(dir, "o")}, 2, "",
			"no.csv"},
		{"bad row", []string{"dataset", "build", "--source", write("b.csv", "source,question,answer,rating\nx,"+good+","+blank+",1\n"), "--out",
			filepath.Join(dir, "o")}, 1, "", "line 2"},
		{"no dataset", []string{"dataset", "show", filepath.Join(dir, "none")}, 2, "", "none"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := execute(context.Background(), c.args, &stdout, &stderr)
			wrong := c.stdout != "" && stdout.String() != c.stdout
			if code != c.code || wrong || !strings.Contains(stderr.String(), c.stderr) {
				t.Errorf("exit %d, stdout %q, stderr %q", code, stdout.String(), stderr.String())
			}
		})
	}
}
