package dataset

import (
	"cmp"
	"container/heap"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"trmsweep/internal/sudoku"
	"trmsweep/internal/version"
)

// Summary is what was built, and the content of provenance.json.
type Summary struct {
	FormatVersion int          `json:"format_version"`
	CodeVersion   string       `json:"code_version"`
	Source        string       `json:"source"`
	TestSource    string       `json:"test_source,omitempty"`
	Revision      string       `json:"revision,omitempty"`
	TrainSHA256   string       `json:"train_sha256,omitempty"` // of the source's files
	TestSHA256    string       `json:"test_sha256,omitempty"`
	Hash          string       `json:"hash"` // see Options.Hash
	Seed          int64        `json:"seed"`
	NumAug        int          `json:"num_aug"`
	MinRating     int          `json:"min_rating"`
	Subsample     int          `json:"subsample"`
	Compact       bool         `json:"compact"`
	VerifyUnique  bool         `json:"verify_unique"`
	Train         SplitSummary `json:"train"`
	Test          SplitSummary `json:"test"`
	// TestInTrain lists test groups equal to a train puzzle up to symmetry (the first 20) and TestInTrainCount counts them.
	TestInTrain      []int `json:"test_in_train,omitempty"`
	TestInTrainCount int   `json:"test_in_train_count"`
}

// SplitSummary describes one split.
type SplitSummary struct {
	SourceRows int64       `json:"source_rows"` // rows read
	BadRows    int64       `json:"bad_rows"`    // left out
	Faults     []string    `json:"faults,omitempty"`
	Groups     int         `json:"groups"`
	Rows       int         `json:"rows"`
	Ratings    map[int]int `json:"ratings"` // rating -> groups
	Clues      map[int]int `json:"clues"`
}

// maxFaults is how many faulty rows are listed; all are counted.
const maxFaults = 20

// Build writes the dataset to outDir: beside it first, renamed at the end, so that
// a failure leaves nothing. progress may be nil and is called from one goroutine at a time.
func Build(ctx context.Context, o Options, outDir string, progress func(Progress)) (Summary, error) {
	if progress == nil {
		progress = func(Progress) {}
	}
	o, err := o.normal()
	if err != nil {
		return Summary{}, err
	}
	if _, err := os.Stat(outDir); err == nil && !o.Force {
		return Summary{}, optionsf("output folder %s exists already; remove it, choose another, or force", outDir)
	}
	src, err := resolve(ctx, o, progress)
	if err != nil {
		return Summary{}, err
	}
	if err := os.MkdirAll(filepath.Dir(outDir), 0o755); err != nil {
		return Summary{}, diskError(err)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(outDir), "."+filepath.Base(outDir)+".part-*")
	if err != nil {
		return Summary{}, diskError(err)
	}
	defer os.RemoveAll(tmp)
	if err := os.Chmod(tmp, 0o755); err != nil {
		return Summary{}, err
	}
	sum, err := build(ctx, o, src, tmp, progress)
	if err != nil {
		return sum, err
	}
	if o.Force {
		if err := os.RemoveAll(outDir); err != nil {
			return sum, err
		}
	}
	if err := os.Rename(tmp, outDir); err != nil {
		return sum, fmt.Errorf("move dataset to its place: %w", err)
	}
	return sum, nil
}

func build(ctx context.Context, o Options, src resolved, dir string, progress func(Progress)) (Summary, error) {
	sum := Summary{
		FormatVersion: formatVersion, CodeVersion: version.Code(), Source: o.Source, TestSource: o.TestSource, Revision: src.revision,
		TrainSHA256: src.trainSHA256, TestSHA256: src.testSHA256, Hash: o.identity(src), Seed: o.Seed,
		NumAug: o.NumAug, MinRating: o.MinRating, Subsample: o.Subsample, Compact: o.Compact, VerifyUnique: o.VerifyUnique,
	}
	var prints fingerprints
	var err error
	splits := []struct {
		name, path    string
		pick, numAug  int
		summary       *SplitSummary
		wanted, salt  int
		leftOutIsFine bool
	}{
		{name: "train", path: src.train, pick: o.Subsample, numAug: o.NumAug, summary: &sum.Train, wanted: o.Count, salt: 1},
		{name: "test", path: src.test, pick: o.TestCount, summary: &sum.Test, wanted: o.TestCount, salt: 2},
	}
	for _, s := range splits {
		if !o.generates() && s.path == "" {
			continue
		}
		w, werr := newSplitWriter(filepath.Join(dir, s.name), o, s.numAug)
		if werr != nil {
			return sum, werr
		}
		add := func(p row) error {
			prints.note(&sum, s.name == "test", w.groups, &p.Question)
			return w.add(p)
		}
		if o.generates() {
			err = generate(ctx, o, s.name, uint64(s.salt), s.wanted, &prints, progress, add)
			s.summary.SourceRows = int64(s.wanted)
		} else {
			err = readSplit(ctx, o, s.name, s.path, s.pick, uint64(s.salt), s.summary, progress, add)
		}
		if err == nil && w.groups == 0 {
			err = inputf("the %s split has no puzzle left (minimum rating %d)", s.name, o.MinRating)
		}
		if err != nil {
			w.abandon()
			return sum, err
		}
		if err := w.finish(); err != nil {
			return sum, fmt.Errorf("write %s split: %w", s.name, err)
		}
		s.summary.Groups, s.summary.Rows = w.groups, w.groups*w.rowsPerGroup()
		s.summary.Ratings, s.summary.Clues = w.ratings, w.clues
	}
	if err := os.WriteFile(filepath.Join(dir, "identifiers.json"), []byte(`["<blank>"]`), 0o644); err != nil {
		return sum, diskError(err)
	}
	b, err := json.MarshalIndent(sum, "", "  ")
	if err != nil {
		return sum, err
	}
	return sum, diskError(os.WriteFile(filepath.Join(dir, provenanceFile), append(b, '\n'), 0o644))
}

const provenanceFile = "provenance.json"

// readSplit passes the rows of a file through the checks, the filter and the draw.
func readSplit(ctx context.Context, o Options, name, path string, pick int, salt uint64, sum *SplitSummary, progress func(Progress), add func(row) error) error {
	f, err := openSource(path)
	if err != nil {
		return err
	}
	defer f.Close()
	draw := drawing{keep: pick}
	read := reader{unique: o.VerifyUnique, rate: true, workers: o.Workers}
	err = read.read(ctx, f, func(p row, fault *errRow) error {
		sum.SourceRows++
		if sum.SourceRows%4096 == 0 {
			progress(Progress{Stage: name, Done: sum.SourceRows})
		}
		if fault != nil {
			if sum.BadRows++; len(sum.Faults) < maxFaults {
				sum.Faults = append(sum.Faults, fault.Error())
			}
			return nil
		}
		if p.Rating < o.MinRating {
			return nil
		}
		if sum.BadRows > 0 && !o.SkipBad {
			return nil // the rest is read for its faults only
		}
		if pick > 0 {
			draw.offer(sudoku.Mix(uint64(o.Seed), salt, uint64(p.index)), p)
			return nil
		}
		return add(p)
	})
	if err != nil && !isOurs(err) {
		err = inputf("source %s: %v", path, err)
	}
	if err == nil && sum.BadRows > 0 && !o.SkipBad {
		more := ""
		if n := sum.BadRows - int64(len(sum.Faults)); n > 0 {
			more = fmt.Sprintf("; and %d more", n)
		}
		err = inputf("source %s has %d faulty rows of %d: %s%s (skip-bad leaves them out)", path, sum.BadRows, sum.SourceRows, strings.Join(sum.Faults, "; "), more)
	}
	if err == nil && pick > len(draw.rows) && pick > 0 && name == "train" {
		err = inputf("source %s has %d puzzles of rating %d or more, but %d are asked for", path, len(draw.rows), o.MinRating, pick)
	}
	if err != nil {
		return err
	}
	for _, p := range draw.sorted() {
		if err := add(p); err != nil {
			return err
		}
	}
	return nil
}

// isOurs: an error of the machine or of the caller, not of the source.
func isOurs(err error) bool {
	var pe *os.PathError
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.As(err, &pe)
}

// drawing keeps the rows with the smallest keys: a uniform draw without replacement
// that needs one pass and does not depend on anything but seed and row numbers.
type drawing struct {
	keep int
	rows []row
	keys []uint64
}

func (d *drawing) Len() int           { return len(d.keys) }
func (d *drawing) Less(i, j int) bool { return d.keys[i] > d.keys[j] }
func (d *drawing) Swap(i, j int) {
	d.keys[i], d.keys[j] = d.keys[j], d.keys[i]
	d.rows[i], d.rows[j] = d.rows[j], d.rows[i]
}
func (d *drawing) Push(any) { panic("unused") }
func (d *drawing) Pop() any { panic("unused") }

func (d *drawing) offer(key uint64, p row) {
	if len(d.keys) < d.keep {
		d.keys, d.rows = append(d.keys, key), append(d.rows, p)
		if len(d.keys) == d.keep {
			heap.Init(d)
		}
		return
	}
	if key < d.keys[0] {
		d.keys[0], d.rows[0] = key, p
		heap.Fix(d, 0)
	}
}

func (d *drawing) sorted() []row {
	slices.SortFunc(d.rows, func(a, b row) int { return cmp.Compare(a.index, b.index) })
	return d.rows
}

// fingerprints finds test puzzles that are train puzzles up to symmetry.
type fingerprints struct {
	all map[uint64]struct{}
}

func (f *fingerprints) note(sum *Summary, test bool, group int, q *sudoku.Grid) {
	if f.all == nil {
		f.all = map[uint64]struct{}{}
	}
	p := q.Fingerprint()
	if !test {
		f.all[p] = struct{}{}
		return
	}
	if _, dup := f.all[p]; dup {
		if sum.TestInTrainCount++; len(sum.TestInTrain) < maxFaults {
			sum.TestInTrain = append(sum.TestInTrain, group)
		}
	}
}

// generate makes the puzzles of one split, in parallel, in order; no two of both
// splits are equal up to symmetry.
func generate(ctx context.Context, o Options, name string, salt uint64, count int, prints *fingerprints, progress func(Progress), add func(row) error) error {
	n := o.Workers
	if n <= 0 {
		n = runtime.GOMAXPROCS(0)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make([]chan sudoku.Puzzle, n)
	for k := range n {
		results[k] = make(chan sudoku.Puzzle, 16)
		go func() {
			defer close(results[k])
			var s sudoku.Solver
			for i := k; i < count && ctx.Err() == nil; i += n {
				select {
				case results[k] <- s.Generate(o.MinRating, uint64(o.Seed), salt, uint64(i)):
				case <-ctx.Done():
				}
			}
		}()
	}
	seen := map[uint64]struct{}{}
	var again sudoku.Solver
	for i := range count {
		p, ok := <-results[i%n]
		if !ok {
			return ctx.Err()
		}
		for try := uint64(1); ; try++ {
			f := p.Question.Fingerprint()
			_, here := seen[f]
			if _, there := prints.all[f]; !here && (!there || name == "train") {
				seen[f] = struct{}{}
				break
			}
			p = again.Generate(o.MinRating, uint64(o.Seed), salt, uint64(i), try)
		}
		if err := add(row{Puzzle: p, index: int64(i)}); err != nil {
			return err
		}
		if i%16 == 15 || i == count-1 {
			progress(Progress{Stage: name, Done: int64(i + 1), Total: int64(count)})
		}
	}
	return ctx.Err()
}
