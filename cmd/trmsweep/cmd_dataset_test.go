package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fsouza/fake-gcs-server/fakestorage"

	"trmsweep/internal/blob"
	"trmsweep/internal/blob/open"
	"trmsweep/internal/dataset"
	"trmsweep/internal/experiment"
	"trmsweep/internal/sudoku"
)

// trmsweep runs one command line.
func trmsweep(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = execute(context.Background(), args, &out, &errs)
	return code, out.String(), errs.String()
}

// puzzlesCSV is the text of a source with n puzzles; edit may change its lines.
func puzzlesCSV(n int, edit func(lines []string)) []byte {
	lines := []string{"source,question,answer,rating"}
	var s sudoku.Solver
	for i := range n {
		p := s.Generate(0, 3, uint64(i))
		lines = append(lines, fmt.Sprintf("s,%s,%s,%d", p.Question, p.Answer, i%4))
	}
	if edit != nil {
		edit(lines)
	}
	return []byte(strings.Join(lines, "\n") + "\n")
}

func writeTo(t *testing.T, path string, data []byte) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// The keys of --json, and of the provenance, are what programs read.
func TestDatasetBuildJSON(t *testing.T) {
	dir := t.TempDir()
	src := filepath.Join(dir, "src")
	writeTo(t, filepath.Join(src, "train.csv"), puzzlesCSV(12, nil))
	writeTo(t, filepath.Join(src, "test.csv"), puzzlesCSV(3, nil))
	out := filepath.Join(dir, "set")
	code, stdout, stderr := trmsweep("dataset", "build", "--source", src, "--out", out, "--subsample", "5", "--num-aug", "2",
		"--min-rating", "1", "--seed", "9", "--compact", "--verify-unique", "--json", "--state", filepath.Join(dir, "state"))
	if code != 0 {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatalf("%v\n%s", err, stdout)
	}
	for key, want := range map[string]any{
		"source": src, "out": out, "seed": 9., "num_aug": 2., "min_rating": 1., "subsample": 5.,
		"compact": true, "verify_unique": true, "skip_bad": false, "test_in_train_count": nil,
	} {
		have, ok := got[key]
		if want == nil { // any value will do
			have = nil
		}
		if !ok || have != want {
			t.Errorf("%s is %v, want %v", key, have, want)
		}
	}
	for _, key := range []string{"hash", "code_version", "train_sha256", "test_sha256", "seconds"} {
		if got[key] == nil || got[key] == "" {
			t.Errorf("no %s", key)
		}
	}
	train, test := got["train"].(map[string]any), got["test"].(map[string]any)
	if train["groups"] != 5. || train["rows"] != 15. || train["source_rows"] != 12. || test["groups"] != 2. || test["rows"] != 2. {
		t.Errorf("train %v, test %v", train, test)
	}
	b, err := os.ReadFile(filepath.Join(out, "provenance.json"))
	if err != nil {
		t.Fatal(err)
	}
	var provenance map[string]any
	if err := json.Unmarshal(b, &provenance); err != nil {
		t.Fatal(err)
	}
	delete(got, "out")
	delete(got, "seconds")
	if fmt.Sprint(provenance) != fmt.Sprint(got) {
		t.Errorf("provenance %v\nsummary %v", provenance, got)
	}
}

func TestDatasetBuildSays(t *testing.T) {
	dir := t.TempDir()
	good := writeTo(t, filepath.Join(dir, "good.csv"), puzzlesCSV(8, nil))
	bad := writeTo(t, filepath.Join(dir, "bad.csv"), puzzlesCSV(40, func(l []string) {
		l[2] += "x"
		for i := 5; i <= 34; i++ {
			l[i] += ",1"
		}
	}))
	set := func() string { return filepath.Join(dir, "set") }
	mine := t.TempDir()
	writeTo(t, filepath.Join(mine, "thesis.tex"), []byte("x"))
	writeTo(t, filepath.Join(mine, "provenance.json"), []byte("{}"))
	for _, c := range []struct {
		name   string
		args   []string
		code   int
		stdout string
		stderr []string
	}{
		{"no test split", []string{"--source", good, "--out", set()}, 0, "train 8 puzzles, 8 rows", []string{"no test split was made", "--test"}},
		{"the same twice", []string{"--source", good, "--out", set()}, 2, "", []string{"exists already", "set"}},
		{"by force, tests in train", []string{"--source", good, "--test", good, "--out", set(), "--force"}, 0, "test  8 puzzles",
			[]string{"8 test puzzles are train puzzles up to symmetry", "groups 0 1 2"}},
		{"not over what is no dataset", []string{"--source", good, "--out", mine, "--force"}, 2, "",
			[]string{mine, "holds thesis.tex", "nothing was deleted"}},
		{"nor over a file", []string{"--source", good, "--out", good, "--force"}, 2, "", []string{good, "is a file"}},
		{"nowhere to write", []string{"--source", good, "--out", "/proc/nowhere/set"}, 1, "", []string{"make output folder /proc/nowhere/set: "}},
		{"many faults", []string{"--source", bad, "--out", set() + "2"}, 1, "",
			[]string{"31 faulty rows of 40", "line 3: rating", "line 6: has 5 columns", "and 11 more", "skip-bad"}},
		{"faults left out", []string{"--source", bad, "--out", set() + "2", "--skip-bad"}, 0,
			"9 puzzles, 9 rows, of 40 in the source; 31 faulty rows left out",
			[]string{"31 faulty rows of train left out", "line 3", "and 11 more"}},
		{"no network", []string{"--source", "hf:o/n", "--out", set() + "3"}, 1, "", []string{"without network", "another machine"}},
		{"a profile", []string{"--source", "generate", "--profile-like", "sudoku-extreme", "--minimal", "--count", "2", "--test-count", "1",
			"--out", set() + "4"}, 0, "rating (backtracks), mean", nil},
		{"no such profile", []string{"--source", "generate", "--profile-like", "x", "--out", set() + "5"}, 2, "", []string{"sudoku-extreme"}},
		{"profile of a file", []string{"--source", good, "--minimal", "--out", set() + "5"}, 2, "", []string{`source "generate"`}},
		{"everything filtered", []string{"--source", good, "--min-rating", "9", "--out", set() + "5"}, 1, "",
			[]string{"no puzzle left", "minimum rating 9"}},
		{"too many wanted", []string{"--source", good, "--subsample", "9", "--out", set() + "5"}, 1, "",
			[]string{"has 8 puzzles", "9 are asked for"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("HF_ENDPOINT", "http://127.0.0.1:1")
			code, stdout, stderr := trmsweep(append([]string{"dataset", "build", "--state", filepath.Join(dir, "state")}, c.args...)...)
			if code != c.code || !strings.Contains(stdout, c.stdout) {
				t.Errorf("exit %d, stdout %q, stderr %q", code, stdout, stderr)
			}
			for _, want := range c.stderr {
				if !strings.Contains(stderr, want) {
					t.Errorf("stderr %q does not say %q", stderr, want)
				}
			}
		})
	}
	if _, err := os.Stat(filepath.Join(mine, "thesis.tex")); err != nil {
		t.Error(err)
	}
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range names {
		names[i] = filepath.Base(names[i])
	}
	hidden, _ := filepath.Glob(filepath.Join(dir, ".*"))
	if len(hidden) > 0 || !slices.Equal(names, []string{"bad.csv", "good.csv", "set", "set2", "set4", "state"}) {
		t.Errorf("left: %v %v", names, hidden)
	}
}

func TestDatasetFromObjectStorage(t *testing.T) {
	s, err := fakestorage.NewServerWithOptions(fakestorage.Options{NoListener: true, StorageRoot: t.TempDir(), PublicHost: "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(s.HTTPHandler())
	defer srv.Close()
	u, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("STORAGE_EMULATOR_HOST", u.Host)
	s.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: "data"})
	ctx := context.Background()
	b, closer, err := open.Bucket(ctx, "gs://data/some/where")
	if err != nil {
		t.Fatal(err)
	}
	defer closer.Close()
	for name, n := range map[string]int{"a.csv": 7, "b.csv": 2} {
		if _, err := blob.PutBytes(ctx, b, name, puzzlesCSV(n, nil), blob.Absent); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	args := []string{"dataset", "build", "--state", filepath.Join(dir, "state"), "--source", "gs://data/some/where/a.csv", "--test",
		"gs://data/some/where/b.csv", "--out"}
	code, stdout, stderr := trmsweep(append(args, filepath.Join(dir, "set"))...)
	if code != 0 || !strings.Contains(stdout, "train 7 puzzles") || !strings.Contains(stdout, "test  2 puzzles") {
		t.Errorf("exit %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	args[5] = "gs://data/some/where/none.csv"
	code, _, stderr = trmsweep(append(args, filepath.Join(dir, "set2"))...)
	if code != 1 || !strings.Contains(stderr, "none.csv: there is no such object") {
		t.Errorf("no object: exit %d, stderr %q", code, stderr)
	}

	// The activity makes the set of a folder; another host then needs the store only.
	for name, n := range map[string]int{"folder/train.csv": 4, "folder/test.csv": 2} {
		if _, err := blob.PutBytes(ctx, b, name, puzzlesCSV(n, nil), blob.Absent); err != nil {
			t.Fatal(err)
		}
	}
	spec := experiment.Spec{DataSource: "gs://data/some/where/folder", DataPuzzles: 3, DataAugmentations: 2}
	for i, host := range []string{"a", "b"} {
		a := &app{stateDir: filepath.Join(dir, host)}
		o := dataset.OptionsOf(spec)
		o.Opener = open.Bucket
		d, err := dataset.Ensure(ctx, b, o, a.path("cache"), nil)
		if err != nil || d.Built != (i == 0) {
			t.Fatalf("host %s: built %v, %v", host, d.Built, err)
		}
		if _, err := os.Stat(a.path("cache", "datasets", d.Hash, "test", "dataset.json")); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(a.path("cache", "sources")); (err == nil) != (i == 0) {
			t.Errorf("host %s: the source was fetched: %v", host, err == nil)
		}
	}
}

func TestDatasetShow(t *testing.T) {
	dir := t.TempDir()
	src := writeTo(t, filepath.Join(dir, "a.csv"), puzzlesCSV(5, nil))
	set, picture := filepath.Join(dir, "set"), filepath.Join(dir, "h.svg")
	if code, _, stderr := trmsweep("dataset", "build", "--source", src, "--num-aug", "2", "--out", set, "--state", dir); code != 0 {
		t.Fatal(stderr)
	}
	code, stdout, stderr := trmsweep("dataset", "show", set, "--from", "1", "--count", "2", "--svg", picture)
	if code != 0 {
		t.Fatal(stderr)
	}
	var s sudoku.Solver
	for i, want := range []string{"", "puzzle 1:", "puzzle 2:"} {
		grid := s.Generate(0, 3, uint64(i)).Question.Pretty()
		if strings.Contains(stdout, grid) != (want != "") || !strings.Contains(stdout, want) {
			t.Errorf("puzzle %d shown: %v", i, strings.Contains(stdout, grid))
		}
	}
	for _, want := range []string{"5 puzzles, 15 rows", "3 rows", "rating (backtracks), mean", "clues", "------+-------+------"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%q is not in %s", want, stdout)
		}
	}
	if b, err := os.ReadFile(picture); err != nil || !bytes.HasPrefix(b, []byte("<svg")) || !bytes.HasSuffix(b, []byte("</svg>\n")) {
		t.Errorf("picture: %v, %.80s", err, b)
	}
	if code, _, stderr := trmsweep("dataset", "show", set, "--svg", picture); code != 0 { // over its own kind
		t.Errorf("a second picture: exit %d, %s", code, stderr)
	}
	thesis := writeTo(t, filepath.Join(dir, "thesis.tex"), []byte("x"))
	if err := os.Symlink(picture, filepath.Join(dir, "link.svg")); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{thesis, dir, filepath.Join(dir, "link.svg")} {
		if code, _, stderr := trmsweep("dataset", "show", set, "--svg", file); code != exitUsage || !strings.Contains(stderr, "write "+file) {
			t.Errorf("a picture over %s: exit %d, %s", file, code, stderr)
		}
	}
	if b, err := os.ReadFile(thesis); err != nil || string(b) != "x" {
		t.Errorf("%s %v", b, err)
	}
	path := filepath.Join(set, "train", "all__inputs.npy")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-8] = 0xfb // an int64 of 251
	writeTo(t, path, b)
	if code, _, stderr := trmsweep("dataset", "show", set); code != 1 || !strings.Contains(stderr, "a value outside 0 to 10 in row 14") {
		t.Errorf("a value that is no cell: exit %d, %s", code, stderr)
	}
	code, _, stderr = trmsweep("dataset", "show", set, "--split", "test")
	if code != 1 || !strings.Contains(stderr, filepath.Join(set, "test")) {
		t.Errorf("no test split: exit %d, %s", code, stderr)
	}
}

// An answer that nobody got is no success; training is, whoever listens.
func TestOutputThatCannotBeWritten(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	dir := t.TempDir()
	set := filepath.Join(dir, "set")
	code, _, stderr := trmsweep("dataset", "build", "--source", "generate:easy", "--count", "2", "--test-count", "1", "--out", set, "--state",
		dir)
	if code != 0 {
		t.Fatal(stderr)
	}
	list := writeTo(t, filepath.Join(dir, "p.txt"), []byte(strings.Repeat(".", 81)+"\n"))
	for _, args := range [][]string{
		{"dataset", "show", set},
		{"dataset", "build", "--source", "generate:easy", "--count", "2", "--test-count", "1", "--out", set + "2", "--state", dir},
		{"sudoku", "solve", list}, {"plan", "TNSweep"}, {"--help"}, {"forget", "--state", filepath.Join(dir, "none")},
	} {
		var errs bytes.Buffer
		if code := execute(t.Context(), args, full, &errs); code != exitFailed || !strings.Contains(errs.String(), "no space left on device") {
			t.Errorf("%v: exit %d, %s", args, code, errs.String())
		}
	}
}

func TestSudokuSolve(t *testing.T) {
	var s sudoku.Solver
	p := s.Generate(8, 1)
	two := p.Question
	for i, d := range two {
		if d != 0 {
			two[i] = 0
			break
		}
	}
	none := sudoku.Grid{0: 1, 1: 1}
	file := writeTo(t, filepath.Join(t.TempDir(), "p.txt"),
		fmt.Appendf(nil, "%s\n%s,a note\n%s\n\n%s\n", p.Question, strings.ReplaceAll(p.Question.String(), ".", "0"), two, none))
	code, stdout, stderr := trmsweep("sudoku", "solve", "--rate", "--json", file)
	if code != 0 {
		t.Fatal(stderr)
	}
	solved := fmt.Sprintf("%s %d", p.Answer, p.Rating)
	lines := strings.Split(strings.TrimSuffix(stdout, "\n"), "\n")
	if len(lines) != 5 || !slices.Equal(lines[:4], []string{solved, solved, "several solutions", "no solution"}) {
		t.Fatalf("%q", lines)
	}
	var sum map[string]float64
	if err := json.Unmarshal([]byte(lines[4]), &sum); err != nil {
		t.Fatal(err)
	}
	if sum["puzzles"] != 4 || sum["solved"] != 2 || sum["no_solution"] != 1 || sum["several_solutions"] != 1 ||
		sum["puzzles_per_second"] <= 0 {
		t.Errorf("%v", sum)
	}
	code, stdout, _ = trmsweep("sudoku", "solve", "--count-limit", "1", writeTo(t, filepath.Join(t.TempDir(), "q"), []byte(two.String())))
	if g, err := sudoku.Parse(strings.TrimSpace(stdout)); code != 0 || err != nil || !g.Complete() || !g.Extends(&two) {
		t.Errorf("any solution will do: exit %d, %q", code, stdout)
	}
}
