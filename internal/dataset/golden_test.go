package dataset

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"trmsweep/internal/sudoku"
)

func golden(t *testing.T) (dir string, m goldenManifest) {
	t.Helper()
	if dir = os.Getenv("TRM_GOLDEN_DIR"); dir == "" {
		dir = filepath.Join("..", "..", "testdata", "golden")
	}
	readJSON(t, filepath.Join(dir, "manifest.json"), &m)
	return dir, m
}

type goldenSet struct {
	Dir       string   `json:"dir"`
	Sets      []string `json:"sets"`
	NumAug    int      `json:"num_aug"`
	MinRating *int     `json:"min_rating"`
	Rows      int      `json:"rows"`
}

type goldenManifest struct {
	Dataset struct {
		CSV struct {
			File string `json:"file"`
			Rows int    `json:"rows"`
		} `json:"csv"`
		NoAug     goldenSet `json:"noaug"`
		Aug       goldenSet `json:"aug"`
		MinRating goldenSet `json:"min_rating"`
		AugCases  struct {
			File  string `json:"file"`
			Count int    `json:"count"`
		} `json:"aug_cases"`
		Loader struct {
			File      string `json:"file"`
			Relative  string `json:"paths_relative_to"`
			BatchSize int    `json:"batch_size"`
			Test      struct {
				Key                 string `json:"key"`
				Dataset             string `json:"dataset"`
				Set                 string `json:"set"`
				PadID               int32  `json:"pad_id"`
				PadLabel            int32  `json:"pad_label"`
				PadPuzzleIdentifier int32  `json:"pad_puzzle_identifier"`
			} `json:"test"`
			Train struct {
				Key           string `json:"key"`
				Dataset       string `json:"dataset"`
				Set           string `json:"set"`
				EpochsPerIter int    `json:"epochs_per_iter"`
			} `json:"train"`
		} `json:"loader"`
	} `json:"dataset"`
}

func readJSON(t *testing.T, path string, v any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func buildGolden(t *testing.T, dir string, m goldenManifest, s goldenSet) string {
	t.Helper()
	csv := filepath.Join(dir, m.Dataset.CSV.File)
	o := Options{Source: csv, TestSource: csv, NumAug: s.NumAug}
	if s.MinRating != nil {
		o.MinRating = *s.MinRating
	}
	out := filepath.Join(t.TempDir(), "set")
	if _, err := Build(context.Background(), o, out, nil); err != nil {
		t.Fatal(err)
	}
	return out
}

// What has no random draw must be the reference's files, byte for byte.
func TestGoldenFilesAreIdentical(t *testing.T) {
	dir, m := golden(t)
	for _, s := range []goldenSet{m.Dataset.NoAug, m.Dataset.MinRating, m.Dataset.Aug} {
		out := buildGolden(t, dir, m, s)
		compared := 0
		for _, split := range append([]string{"."}, s.Sets...) {
			files, err := os.ReadDir(filepath.Join(dir, s.Dir, split))
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range files {
				if f.IsDir() {
					continue
				}
				want, err := os.ReadFile(filepath.Join(dir, s.Dir, split, f.Name()))
				if err != nil {
					t.Fatal(err)
				}
				got, err := os.ReadFile(filepath.Join(out, split, f.Name()))
				if err != nil {
					t.Fatal(err)
				}
				puzzles := f.Name() == "all__inputs.npy" || f.Name() == "all__labels.npy"
				if s.NumAug > 0 && puzzles {
					want, got = want[:npyHeaderLen], got[:npyHeaderLen] // the draws are numpy's
				}
				if !bytes.Equal(got, want) {
					t.Errorf("%s/%s/%s differs from the reference's", s.Dir, split, f.Name())
				}
				compared++
			}
		}
		if compared < 7 {
			t.Errorf("%s: only %d files compared", s.Dir, compared)
		}
	}
}

// Every augmented row is a symmetry of its group's puzzle, in ours and in the reference's.
func TestGoldenAugmentationInvariants(t *testing.T) {
	dir, m := golden(t)
	aug := m.Dataset.Aug
	ours := buildGolden(t, dir, m, aug)
	for _, folder := range []string{ours, filepath.Join(dir, aug.Dir)} {
		s, err := Open(folder, aug.Sets[0])
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if s.Rows() != aug.Rows || s.Groups() != m.Dataset.CSV.Rows {
			t.Fatalf("%s: %d rows in %d groups", folder, s.Rows(), s.Groups())
		}
		for g := range s.Groups() {
			from, to := s.Group(g)
			if to-from != aug.NumAug+1 {
				t.Errorf("group %d has %d rows", g, to-from)
			}
			first, _ := gridsOf(s, from)
			for i := from; i < to; i++ {
				q, a := gridsOf(s, i)
				if !a.Complete() || !a.Extends(&q) || q.Fingerprint() != first.Fingerprint() {
					t.Errorf("row %d is no symmetry of row %d", i, from)
				}
				if i > from && q == first {
					t.Errorf("row %d is not augmented", i)
				}
			}
		}
	}
}

func gridsOf(s *Set, i int) (q, a sudoku.Grid) {
	s.Row(i, q[:], a[:])
	for j := range q {
		q[j]--
		a[j]--
	}
	return q, a
}

func TestGoldenAugmentationCases(t *testing.T) {
	dir, m := golden(t)
	var cases []struct {
		DigitMap  [10]uint8 `json:"digit_map"`
		Transpose bool      `json:"transpose"`
		Rows      [9]uint8  `json:"row_perm"`
		Cols      [9]uint8  `json:"col_perm"`
		Input     string    `json:"input"`
		Label     string    `json:"label"`
		OutInput  string    `json:"out_input"`
		OutLabel  string    `json:"out_label"`
	}
	readJSON(t, filepath.Join(dir, m.Dataset.AugCases.File), &cases)
	if len(cases) != m.Dataset.AugCases.Count {
		t.Fatalf("%d cases, the manifest says %d", len(cases), m.Dataset.AugCases.Count)
	}
	for i, c := range cases {
		tr := sudoku.Transform{Digits: c.DigitMap, Transpose: c.Transpose, Rows: c.Rows, Cols: c.Cols}
		for _, p := range [][2]string{{c.Input, c.OutInput}, {c.Label, c.OutLabel}} {
			in, err := sudoku.Parse(p[0])
			if err != nil {
				t.Fatal(err)
			}
			want, err := sudoku.Parse(p[1])
			if err != nil {
				t.Fatal(err)
			}
			if got := tr.Apply(&in); got != want {
				t.Errorf("case %d: %s becomes %s, want %s", i, in, got, want)
			}
		}
	}
}

type goldenBatch struct {
	Effective int               `json:"effective"`
	Files     map[string]string `json:"files"`
	Rows      []int             `json:"rows"`
	Groups    []int             `json:"groups"`
}

// Test batches are the rows in order; what the reference pads, we leave away.
func TestGoldenTestBatches(t *testing.T) {
	dir, m := golden(t)
	l := m.Dataset.Loader
	all := map[string]json.RawMessage{}
	readJSON(t, filepath.Join(dir, l.File), &all)
	var batches []goldenBatch
	if err := json.Unmarshal(all[l.Test.Key], &batches); err != nil {
		t.Fatal(err)
	}
	s, err := Open(filepath.Join(dir, l.Test.Dataset), l.Test.Set)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	row := 0
	for k, b := range batches {
		want := map[string][]byte{}
		for name, f := range b.Files {
			data, err := os.ReadFile(filepath.Join(dir, l.Relative, f))
			if err != nil {
				t.Fatal(err)
			}
			n, err := parseNpy(data, int64(len(data)))
			if err != nil || n.descr != "<i4" || n.rows() != l.BatchSize {
				t.Fatalf("%s: %+v %v", f, n, err)
			}
			want[name] = data[n.offset:]
		}
		at := func(name string, i int) int32 {
			c := column{npyInfo{size: 4}, want[name]}
			return int32(c.int(i))
		}
		for i := range l.BatchSize {
			var in, lab [81]uint8
			id := l.Test.PadPuzzleIdentifier
			if i < b.Effective {
				id = s.Row(row, in[:], lab[:])
				row++
			}
			if at("puzzle_identifiers", i) != id {
				t.Errorf("batch %d row %d: identifier %d", k, i, id)
			}
			for j := range 81 {
				wantLabel := int32(lab[j])
				if wantLabel == 0 {
					wantLabel = l.Test.PadLabel
				}
				if at("inputs", 81*i+j) != int32(in[j]) || at("labels", 81*i+j) != wantLabel {
					t.Fatalf("batch %d row %d cell %d differs", k, i, j)
				}
			}
		}
	}
	if row != s.Rows() {
		t.Errorf("%d rows compared of %d", row, s.Rows())
	}
}

// The reference's training order and ours have the same structure: each pass has
// every group once, rows lie in their groups, the incomplete last batch is dropped.
func TestGoldenTrainingOrder(t *testing.T) {
	dir, m := golden(t)
	l := m.Dataset.Loader
	all := map[string]json.RawMessage{}
	readJSON(t, filepath.Join(dir, l.File), &all)
	var want []goldenBatch
	if err := json.Unmarshal(all[l.Train.Key], &want); err != nil {
		t.Fatal(err)
	}
	set, err := Open(filepath.Join(dir, l.Train.Dataset), l.Train.Set)
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	s, err := NewSampler(set, 0, l.BatchSize, l.Train.EpochsPerIter)
	if err != nil {
		t.Fatal(err)
	}
	if s.StepsPerIteration() != int64(len(want)) {
		t.Fatalf("%d batches in an iteration, the reference has %d", s.StepsPerIteration(), len(want))
	}
	ours := make([]goldenBatch, len(want))
	for k := range ours {
		var b Batch
		if err := s.Batch(int64(k), 0, 1, &b); err != nil {
			t.Fatal(err)
		}
		for i := range b.Rows {
			ours[k].Rows = append(ours[k].Rows, int(b.Rows[i]))
			ours[k].Groups = append(ours[k].Groups, int(b.Groups[i]))
		}
	}
	for name, batches := range map[string][]goldenBatch{"reference": want, "ours": ours} {
		var order []int
		for _, b := range batches {
			if len(b.Rows) != l.BatchSize {
				t.Errorf("%s: a batch of %d", name, len(b.Rows))
			}
			for i, g := range b.Groups {
				if from, to := set.Group(g); b.Rows[i] < from || b.Rows[i] >= to {
					t.Errorf("%s: row %d is not in group %d", name, b.Rows[i], g)
				}
			}
			order = append(order, b.Groups...)
		}
		for at := 0; at < len(order); at += set.Groups() {
			seen := map[int]bool{}
			for _, g := range order[at:min(at+set.Groups(), len(order))] {
				if seen[g] {
					t.Errorf("%s: group %d is twice in the pass at %d", name, g, at)
				}
				seen[g] = true
			}
		}
	}
}
