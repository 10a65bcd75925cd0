package dataset

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"trmsweep/internal/sudoku"
)

// readSplit reads a file, filters its rows, draws the wanted number of them and calls add for each.
func readSplit(ctx context.Context, o Options, s split, prints bool, progress func(Progress), add func(row) error) error {
	sum := s.summary
	f, err := openSource(s.path)
	if err != nil {
		return err
	}
	defer f.Close()
	draw := drawing{keep: s.pick}
	read := reader{unique: o.VerifyUnique, rate: true, prints: prints && s.pick == 0, skipBad: o.SkipBad, workers: o.Workers}
	err = read.read(ctx, f, func(p row, fault *errRow) error {
		sum.SourceRows++
		if sum.SourceRows%4096 == 0 {
			progress(Progress{Stage: s.name, Done: sum.SourceRows})
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
			return nil // the draw is complete; the rest is read only to find its faults
		}
		if s.pick > 0 {
			draw.offer(sudoku.Mix(uint64(o.Seed), s.salt, uint64(p.index)), p)
			return nil
		}
		return add(p)
	})
	if err != nil && !isOurs(err) {
		err = inputf("source %s: %v", s.address, err)
	}
	if err == nil {
		err = f.unchanged(s.sha256)
	}
	if err == nil && sum.BadRows > 0 && !o.SkipBad {
		more := ""
		if n := sum.BadRows - int64(len(sum.Faults)); n > 0 {
			more = fmt.Sprintf("; and %d more", n)
		}
		err = inputf("source %s has %d faulty rows of %d: %s%s (skip-bad leaves them out)",
			s.address, sum.BadRows, sum.SourceRows, strings.Join(sum.Faults, "; "), more)
	}
	if err == nil && s.pick > len(draw.rows) && s.name == "train" {
		err = inputf("source %s has %d puzzles of rating %d or more, but %d are asked for", s.address, len(draw.rows), o.MinRating, s.pick)
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

// isOurs says whether an error comes from the machine or the caller and not from the source.
func isOurs(err error) bool {
	var pe *os.PathError
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.As(err, &pe)
}

// drawing keeps the rows with the smallest keys. This is a uniform draw without
// replacement that needs one pass and depends on seed and row numbers only.
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
