package dataset

import (
	"fmt"
	"testing"

	"trmsweep/internal/sudoku"
)

// A test puzzle that only shares a fingerprint with a train puzzle is none of them.
func TestTwinsAreExact(t *testing.T) {
	for _, o := range []Options{{NumAug: 2}, {NumAug: 2, Compact: true}, {}} {
		t.Run(fmt.Sprintf("aug %d compact %v", o.NumAug, o.Compact), func(t *testing.T) {
			w, err := newSplitWriter(t.Context(), t.TempDir(), o, o.NumAug)
			if err != nil {
				t.Fatal(err)
			}
			tw := new(twins)
			defer tw.close()
			var s sudoku.Solver
			var train []sudoku.Puzzle
			const collides = 7 << 32 // the fingerprint of all
			for i := range 5 {
				p := s.Generate(0, 9, uint64(i))
				train = append(train, p)
				tw.add(collides, i)
				if err := w.add(row{Puzzle: p, index: int64(i)}); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.finish(); err != nil {
				t.Fatal(err)
			}
			if err := tw.written(w); err != nil {
				t.Fatal(err)
			}
			r := sudoku.NewRand(1)
			for i, p := range train {
				tr := sudoku.RandomTransform(&r)
				q := tr.Apply(&p.Question)
				if got, err := tw.has(collides, &q); err != nil || !got {
					t.Errorf("puzzle %d turned: %v %v", i, got, err)
				}
				other := s.Generate(0, 10, uint64(i)).Question
				if got, err := tw.has(collides, &other); err != nil || got {
					t.Errorf("another puzzle %d: %v %v", i, got, err)
				}
				if got, err := tw.has(collides+1<<32, &q); err != nil || got {
					t.Errorf("another fingerprint: %v %v", got, err)
				}
			}
		})
	}
}

// Symmetric variants of train puzzles in the test file are counted, others are not.
func TestSymmetricTestPuzzlesAreReported(t *testing.T) {
	train := csvOf(t, "train.csv", 12, nil)
	r := sudoku.NewRand(3)
	var s sudoku.Solver
	test := csvOf(t, "test.csv", 6, func(l []string) {
		for i := range 6 {
			p := s.Generate(0, 77, uint64(i))
			if i%2 == 1 {
				p = s.Generate(0, 3, uint64(i)) // a train puzzle
				tr := sudoku.RandomTransform(&r)
				p.Question, p.Answer = tr.Apply(&p.Question), tr.Apply(&p.Answer)
			}
			l[i+1] = fmt.Sprintf("x,%s,%s,1", p.Question, p.Answer)
		}
	})
	for _, o := range []Options{{}, {Subsample: 12, TestCount: 6}, {NumAug: 3}, {NumAug: 1, Compact: true}} {
		o.Source, o.TestSource = train, test
		_, sum := mustBuild(t, o)
		if sum.TestInTrainCount != 3 || fmt.Sprint(sum.TestInTrain) != "[1 3 5]" {
			t.Errorf("%+v: %d reported: %v", o, sum.TestInTrainCount, sum.TestInTrain)
		}
	}
}
