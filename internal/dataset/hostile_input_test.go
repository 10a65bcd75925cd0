package dataset

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestRowsBeyondTheIndicesAreRefused(t *testing.T) {
	path := csvOf(t, "x.csv", 3, nil)
	faulty := csvOf(t, "x.csv", 4, func(lines []string) { lines[1] = "nothing" })
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	packed := filepath.Join(t.TempDir(), "x.csv.gz")
	if err := os.WriteFile(packed, gzipped(t, text), 0o600); err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(t.TempDir(), "list.txt")
	puzzle := strings.Repeat(".", 80) + "1\n" // with many solutions: counting solves nothing
	if err := os.WriteFile(list, []byte(strings.Repeat(puzzle, 3)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		o    Options
		want string
	}{
		{"augmentations alone", Options{Source: path, NumAug: math.MaxInt32}, "1 puzzles with 2147483647 augmentations"},
		{"the largest number", Options{Source: path, NumAug: math.MaxInt}, "augmentations each"},
		{"drawn puzzles", Options{Source: path, Subsample: 200000, NumAug: 20000}, "200000 puzzles with 20000 augmentations"},
		{"generated puzzles", Options{Source: SourceGenerate, Count: 1 << 20, NumAug: 1 << 11}, "1048576 puzzles with 2048"},
		{"puzzles of a file", Options{Source: path, NumAug: math.MaxInt32/2 - 1}, "has more than 2 puzzles, and with 1073741822"},
		{"puzzles of a list", Options{Source: list, NumAug: math.MaxInt32/2 - 1}, "has more than 2 puzzles"},
		{"puzzles of a packed file", Options{Source: packed, NumAug: math.MaxInt32/2 - 1}, "has more than 2 puzzles"},
		{"puzzles beside faulty ones", Options{Source: faulty, NumAug: math.MaxInt32/2 - 1, SkipBad: true}, "has more than 2 puzzles"},
		{"a rating that there is not", Options{Source: path, MinRating: 1 << 40}, "minimum rating is 1099511627776"},
		{"a negative number", Options{Source: path, NumAug: -1}, "number of augmentations is -1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			parent := t.TempDir()
			_, err := Build(t.Context(), c.o, filepath.Join(parent, "set"), nil)
			if !errors.Is(err, ErrOptions) || !strings.Contains(err.Error(), c.want) || len(entries(t, parent)) > 0 {
				t.Errorf("%v, left %v", err, entries(t, parent))
			}
		})
	}
}

// What is counted are the puzzles that would be written: those of a file that holds few enough are
// not refused for its faulty rows, or for those of another rating.
func TestOnlyPuzzlesAreCounted(t *testing.T) {
	path := csvOf(t, "x.csv", 6, func(lines []string) { lines[1] = "nothing" })
	o := Options{NumAug: maxRows/2 - 1, SkipBad: true, MinRating: 4}
	s := split{name: "train", path: path, address: path, numAug: o.NumAug}
	if err := countRows(t.Context(), o, s, func(Progress) {}); err != nil { // ratings 1 to 5, of which two are wanted
		t.Error(err)
	}
	o.MinRating = 3
	if err := countRows(t.Context(), o, s, func(Progress) {}); !errors.Is(err, ErrOptions) {
		t.Error(err)
	}
}

// forever is a pipe that somebody writes to without an end.
type forever struct{}

func (forever) Read(p []byte) (int, error) { return len(p), nil }

// A pipe without end fills no disk: it is read up to the size that sources may have here, and nothing of it is left.
func TestEndlessPipe(t *testing.T) {
	limit := CacheLimit
	CacheLimit = 1 << 20
	defer func() { CacheLimit = limit }()
	cache, parent := t.TempDir(), t.TempDir()
	_, err := Build(t.Context(), Options{Source: SourceStdin, Stdin: forever{}, CacheDir: cache}, filepath.Join(parent, "set"), nil)
	if !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), "source - has more than 1048576 bytes") {
		t.Error(err)
	}
	spooled, err := os.ReadDir(filepath.Join(cache, "sources", "spooled"))
	if err != nil || len(spooled)+len(entries(t, parent)) > 0 {
		t.Errorf("left %v, %v, %v", spooled, entries(t, parent), err)
	}
}

// The end of the context ends the work inside a group.
func TestCancelInsideAGroup(t *testing.T) {
	parent := t.TempDir()
	path := csvOf(t, "x.csv", 2, nil)
	for _, c := range []struct {
		name string
		o    Options
	}{
		{"int64", Options{Source: path, NumAug: 1 << 29}},
		{"uint8, one worker", Options{Source: path, NumAug: 1 << 29, Compact: true, Workers: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			ended := make(chan error, 1)
			go func() {
				_, err := Build(ctx, c.o, filepath.Join(parent, "set"), nil)
				ended <- err
			}()
			select {
			case err := <-ended:
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("error %v", err)
				}
			case <-time.After(time.Minute): // 2^29 rows take several
				t.Fatal("it goes on")
			}
			if left := entries(t, parent); len(left) > 0 {
				t.Errorf("left %v", left)
			}
		})
	}
}

// Ratings of any size have bins that end, and a mean.
func TestHistogramsOfHugeRatings(t *testing.T) {
	for _, c := range []struct {
		ratings map[int]int
		mean    float64
		bins    int
	}{
		{nil, 0, 1}, {map[int]int{0: 5}, 0, 1}, {map[int]int{0: 1, 1: 1, 2: 1}, 1, 3}, {map[int]int{1<<62 - 1: 1}, 1 << 62, 63},
		{map[int]int{1 << 62: 3}, 1 << 62, 64}, {map[int]int{math.MaxInt: 2, math.MaxInt - 1: 2}, math.MaxInt, 64},
	} {
		h := Histograms{Ratings: c.ratings, Clues: map[int]int{22: 1}}
		bins := h.ratingBins()
		all := 0
		for _, b := range bins {
			all += b.n
		}
		want := 0
		for _, n := range c.ratings {
			want += n
		}
		if h.MeanRating() != c.mean || len(bins) != c.bins || all != want || len(h.Text()) == 0 || len(h.SVG()) == 0 {
			t.Errorf("%v: mean %g in %d bins with %d puzzles", c.ratings, h.MeanRating(), len(bins), all)
		}
	}
}
