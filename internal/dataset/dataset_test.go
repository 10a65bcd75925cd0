package dataset

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"trmsweep/internal/blob/mem"
	"trmsweep/internal/sudoku"
)

var smoke = Options{Source: SourceGenerate, Count: 24, TestCount: 8, NumAug: 3, Seed: 7}

func mustBuild(t *testing.T, o Options) (string, Summary) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "set")
	sum, err := Build(context.Background(), o, out, nil)
	if err != nil {
		t.Fatal(err)
	}
	return out, sum
}

func mustHash(t *testing.T, dir string) string {
	t.Helper()
	h, err := HashDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestBytesDoNotDependOnWorkers(t *testing.T) {
	csv := csvOf(t, "x.csv", 60, nil)
	list := csvOf(t, "x.txt", 60, func(l []string) {
		for i := range l[1:] {
			l[i] = strings.Split(l[i+1], ",")[1]
		}
		l[60] = l[0]
	})
	for _, c := range []struct {
		name string
		o    Options
	}{
		{"generate", smoke},
		{"generate rated", Options{Source: SourceGenerate, Count: 6, TestCount: 3, MinRating: 5}},
		{"profile", Options{Source: SourceGenerate + ":sudoku-extreme", Count: 2, TestCount: 1}},
		{"csv", Options{Source: csv, TestSource: csv, NumAug: 30}},
		{"csv compact", Options{Source: csv, NumAug: 30, Compact: true, VerifyUnique: true}},
		{"drawn", Options{Source: csv, TestSource: csv, NumAug: 3, Subsample: 20, TestCount: 7, MinRating: 11}},
		{"list", Options{Source: list, NumAug: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			seen := map[string]bool{}
			c.o.Seed = 7
			for _, c.o.Workers = range []int{1, 2, 5} {
				dir, _ := mustBuild(t, c.o)
				seen[mustHash(t, dir)] = true
			}
			if len(seen) != 1 {
				t.Errorf("1, 2 and 5 workers give %d different sets", len(seen))
			}
			c.o.Seed++
			dir, _ := mustBuild(t, c.o)
			if seen[mustHash(t, dir)] {
				t.Error("two seeds give the same bytes")
			}
		})
	}
}

func TestGeneratedSplitsAreDisjoint(t *testing.T) {
	dir, sum := mustBuild(t, smoke)
	type counts struct{ TestInTrain, TrainGroups, TestGroups, TrainRows int }
	got := counts{sum.TestInTrainCount, sum.Train.Groups, sum.Test.Groups, sum.Train.Rows}
	if diff := cmp.Diff(counts{TrainGroups: 24, TestGroups: 8, TrainRows: 96}, got); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
	seen := map[uint64]bool{}
	var solver sudoku.Solver
	for _, split := range []string{"train", "test"} {
		s, err := Open(dir, split)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for g := range s.Groups() {
			row, _ := s.Group(g)
			q, a := gridsOf(s, row)
			if seen[q.Fingerprint()] {
				t.Errorf("%s group %d is there twice", split, g)
			}
			seen[q.Fingerprint()] = true
			if solver.Count(&q, 2) != 1 || solver.First() != a {
				t.Errorf("%s group %d: label is not the solution", split, g)
			}
		}
	}
}

// csvOf writes the puzzles of a seed as a CSV; edit may change its lines.
func csvOf(t *testing.T, name string, n int, edit func(lines []string)) string {
	t.Helper()
	lines := []string{"source,question,answer,rating"}
	var s sudoku.Solver
	for i := range n {
		p := s.Generate(0, 3, uint64(i))
		lines = append(lines, fmt.Sprintf("test%d,%s,%s,%d", i, p.Question, p.Answer, i))
	}
	if edit != nil {
		edit(lines)
	}
	path := filepath.Join(t.TempDir(), name)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	text := strings.Join(lines, "\n") + "\n"
	fmt.Fprint(f, text)
	return path
}

func TestFaultsOfSources(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(l []string)
		want []string
	}{
		{"wrong answer", func(l []string) { l[3] = swapAnswer(l[3]) }, []string{"line 4", "no valid grid"}},
		{"answer of another puzzle", func(l []string) {
			a, b := strings.Split(l[2], ","), strings.Split(l[4], ",")
			l[2] = strings.Join([]string{a[0], a[1], b[2], a[3]}, ",")
		}, []string{"line 3", "does not solve"}},
		{"short question", func(l []string) { l[1] = "x,12," + strings.SplitN(l[1], ",", 3)[2] }, []string{"line 2", "2 characters"}},
		{"rating", func(l []string) { l[5] += "x" }, []string{"line 6", "rating"}},
		{"columns", func(l []string) { l[5] += ",1" }, []string{"line 6", "5 columns"}},
		{"header", func(l []string) { l[0] = "a,b" }, []string{"line 1 is neither", "source,question,answer,rating"}},
		{"two faults", func(l []string) { l[5] += ",1"; l[2] += ",1" }, []string{"2 faulty rows of 6", "line 3", "line 6"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := csvOf(t, "x.csv", 6, c.edit)
			parent := t.TempDir()
			_, err := Build(context.Background(), Options{Source: path}, filepath.Join(parent, "set"), nil)
			if !errors.Is(err, ErrInput) {
				t.Fatalf("error %v, want ErrInput", err)
			}
			for _, w := range append(c.want, path) {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q does not say %q", err, w)
				}
			}
			if left, _ := os.ReadDir(parent); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func swapAnswer(line string) string {
	f := strings.Split(line, ",")
	b := []byte(f[2])
	b[0], b[1] = b[1], b[0]
	f[2] = string(b)
	return strings.Join(f, ",")
}

func TestSkipBadWritesTheRest(t *testing.T) {
	path := csvOf(t, "x.csv", 6, func(l []string) { l[3] = swapAnswer(l[3]) })
	_, sum := mustBuild(t, Options{Source: path, SkipBad: true})
	type counts struct {
		Groups  int
		BadRows int64
		Faults  int
	}
	if diff := cmp.Diff(counts{5, 1, 1}, counts{sum.Train.Groups, sum.Train.BadRows, len(sum.Train.Faults)}); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
}

func TestVerifyUnique(t *testing.T) {
	path := csvOf(t, "x.csv", 4, func(l []string) {
		f := strings.Split(l[2], ",")
		f[1] = strings.Repeat(".", 81)
		l[2] = strings.Join(f, ",")
	})
	_, err := Build(context.Background(), Options{Source: path, VerifyUnique: true}, filepath.Join(t.TempDir(), "set"), nil)
	if !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), "line 3: the question has more than one solution") {
		t.Errorf("error %v", err)
	}
}

func TestSubsampleDrawsWithoutReplacement(t *testing.T) {
	path := csvOf(t, "x.csv", 20, nil)
	a, sum := mustBuild(t, Options{Source: path, Subsample: 7, MinRating: 4})
	b, _ := mustBuild(t, Options{Source: path, Subsample: 7, MinRating: 4, Workers: 3})
	type drawn struct {
		Groups, Ratings int
		Hash            string
	}
	want := drawn{7, 7, mustHash(t, b)} // three workers draw the same puzzles
	if diff := cmp.Diff(want, drawn{sum.Train.Groups, len(sum.Train.Ratings), mustHash(t, a)}); diff != "" {
		t.Errorf("the data set (-want +got):\n%s", diff)
	}
	for r := range sum.Train.Ratings {
		if r < 4 {
			t.Errorf("rating %d is below the minimum", r)
		}
	}
	_, err := Build(context.Background(), Options{Source: path, Subsample: 21}, filepath.Join(t.TempDir(), "s"), nil)
	if !errors.Is(err, ErrInput) {
		t.Errorf("more puzzles than the source has: %v", err)
	}
}

func TestTestPuzzlesInTrainAreReported(t *testing.T) {
	path := csvOf(t, "x.csv", 5, nil)
	_, sum := mustBuild(t, Options{Source: path, TestSource: path})
	if sum.TestInTrainCount != 5 || len(sum.TestInTrain) != 5 {
		t.Errorf("%d of 5 reported", sum.TestInTrainCount)
	}
}

func TestOpenFaults(t *testing.T) {
	for _, c := range []struct {
		name, file string
		damage     func(b []byte) []byte
		want       string
	}{
		{"truncated", "all__inputs.npy", func(b []byte) []byte { return b[:len(b)-5] }, "truncated"},
		{"empty", "all__labels.npy", func([]byte) []byte { return nil }, "empty"},
		{"dtype", "all__group_indices.npy", func(b []byte) []byte { return []byte(strings.Replace(string(b), "<i4", "<f4", 1)) },
			"dtype <f4, want |u1, <i4 or <i8"},
		{"another dtype", "all__puzzle_identifiers.npy", func(b []byte) []byte {
			return append(npyHeader("|u1", 96), make([]byte, 96)...)
		}, "dtype |u1, want <i4"},
		{"another shape", "all__inputs.npy", func(b []byte) []byte {
			return append(npyHeader("|u1", 96, 80), make([]byte, 96*80)...)
		}, "shape [96 80], want (rows, 81)"},
		{"fewer rows", "all__labels.npy", func(b []byte) []byte {
			return append(npyHeader("|u1", 95, 81), make([]byte, 95*81)...)
		}, "has 95 rows, all__inputs.npy 96"},
		{"groups that fall", "all__group_indices.npy", func(b []byte) []byte { b[len(b)-8] = 255; return b }, "does not rise at group 23"},
		{"no JSON", "dataset.json", func([]byte) []byte { return []byte("{") }, "unexpected end of JSON"},
		{"another game", "dataset.json",
			func(b []byte) []byte { return []byte(strings.Replace(string(b), `"seq_len": 81`, `"seq_len": 900`, 1)) }, "want 81 and 11"},
		{"no npy", "all__labels.npy", func([]byte) []byte { return []byte("hello, world") }, "no .npy"},
		{"groups", "dataset.json", func(b []byte) []byte { return []byte(strings.Replace(string(b), `groups": 24`, `groups": 23`, 1)) },
			"inconsistent"},
		{"missing", "all__puzzle_indices.npy", nil, "all__puzzle_indices.npy"},
		{"no description", "dataset.json", nil, "dataset.json"},
		{"a byte that is no cell", "all__inputs.npy", func(b []byte) []byte { return withCell(b, "|u1", 81*7+4, 11) },
			"a value outside 0 to 10 in row 7"},
		{"a negative int64", "all__labels.npy", func(b []byte) []byte { return withCell(b, "<i8", 81*7+4, -5) },
			"a value outside 0 to 10 in row 7"},
		{"an int64 whose last byte is a cell", "all__inputs.npy", func(b []byte) []byte { return withCell(b, "<i8", 81*95+80, 1<<40) },
			"a value outside 0 to 10 in row 95"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, _ := mustBuild(t, smoke)
			p := filepath.Join(dir, "train", c.file)
			b, err := os.ReadFile(p)
			if err != nil {
				t.Fatal(err)
			}
			if c.damage == nil {
				err = os.Remove(p)
			} else {
				err = os.WriteFile(p, c.damage(b), 0o644)
			}
			if err != nil {
				t.Fatal(err)
			}
			s, err := Open(dir, "train")
			if err == nil {
				s.Close()
			}
			f, lerr := Load(dir)
			if lerr == nil {
				defer f.Close()
				_, lerr = f.Split("train")
				if _, err := f.Split("test"); err != nil {
					t.Errorf("the other split: %v", err)
				}
			}
			for _, err := range []error{err, lerr} {
				if !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.file) {
					t.Errorf("error %v, want %q and the file %s", err, c.want, c.file)
				}
			}
		})
	}
}

// withCell is an int64 array in the type that is asked for, with one value replaced.
func withCell(b []byte, descr string, at int, value int64) []byte {
	cells := b[npyHeaderLen:]
	out := npyHeader(descr, len(cells)/8/81, 81)
	for i := range len(cells) / 8 {
		v := binary.LittleEndian.Uint64(cells[8*i:])
		if i == at {
			v = uint64(value)
		}
		if descr == "|u1" {
			out = append(out, uint8(v))
		} else {
			out = binary.LittleEndian.AppendUint64(out, v)
		}
	}
	return out
}

func TestBatchesDoNotDependOnTheWorld(t *testing.T) {
	dir, _ := mustBuild(t, smoke)
	set, err := Open(dir, "train")
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	s, err := NewSampler(set, 3, 16, 5)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []int64{11, 0, 6, 7} {
		var whole Batch
		if err := s.Batch(step, 0, 1, &whole); err != nil {
			t.Fatal(err)
		}
		for _, world := range []int{2, 4, 8} {
			fresh, err := NewSampler(set, 3, 16, 5)
			if err != nil {
				t.Fatal(err)
			}
			var rows []int64
			var inputs []uint8
			for rank := range world {
				var part Batch
				if err := fresh.Batch(step, rank, world, &part); err != nil {
					t.Fatal(err)
				}
				rows, inputs = append(rows, part.Rows...), append(inputs, part.Inputs...)
			}
			if !slices.Equal(rows, whole.Rows) || !slices.Equal(inputs, whole.Inputs) {
				t.Errorf("step %d: %d ranks have another batch", step, world)
			}
		}
	}
	var b Batch
	if err := s.Batch(0, 0, 3, &b); !errors.Is(err, ErrInput) {
		t.Errorf("a batch of 16 among 3 ranks: %v", err)
	}
}

func TestEnsure(t *testing.T) {
	ctx := context.Background()
	b := mem.New(nil)
	cache := t.TempDir()
	first, err := Ensure(ctx, b, smoke, cache, nil)
	if err != nil || !first.Built {
		t.Fatalf("first: built %v, %v", first.Built, err)
	}
	want := mustHash(t, first.Dir)
	if h, err := smoke.Hash(ctx); err != nil || h != first.Hash {
		t.Errorf("Hash is %s (%v), Ensure says %s", h, err, first.Hash)
	}
	if d, err := Ensure(ctx, b, smoke, cache, nil); err != nil || d.Built {
		t.Errorf("second: built %v, %v", d.Built, err)
	}
	p := filepath.Join(first.Dir, "train", "all__labels.npy")
	data, err := os.ReadFile(p)
	if err != nil {
		t.Fatal(err)
	}
	data[300]++
	if err := os.WriteFile(p, data, 0o644); err != nil {
		t.Fatal(err)
	}
	if d, err := Ensure(ctx, b, smoke, cache, nil); err != nil || d.Built || mustHash(t, d.Dir) != want {
		t.Errorf("corrupt cache: built %v, %v", d.Built, err)
	}
	if d, err := Ensure(ctx, b, smoke, t.TempDir(), nil); err != nil || d.Built || mustHash(t, d.Dir) != want {
		t.Errorf("another machine: built %v, %v", d.Built, err)
	}
	if d, err := Ensure(ctx, mem.New(nil), smoke, t.TempDir(), nil); err != nil || !d.Built || mustHash(t, d.Dir) != want {
		t.Errorf("another bucket: built %v, %v", d.Built, err)
	}
}

func FuzzParseNpy(f *testing.F) {
	f.Add(append(npyHeader("|u1", 1, 3), 1, 2, 3))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := parseNpy(b, int64(len(b)))
		if err != nil {
			return
		}
		total := n.size
		for _, d := range n.shape {
			total *= d
		}
		if n.offset+total != len(b) {
			t.Errorf("%+v of %d bytes", n, len(b))
		}
	})
}
