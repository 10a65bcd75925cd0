package dataset

import (
	"context"
	"runtime"
	"sync"

	"trmsweep/internal/sudoku"
)

// generator returns a function that draws puzzle i of a split; try counts from 0.
func (o Options) generator(salt uint64) func(s *sudoku.Solver, i int, try uint64) sudoku.Puzzle {
	keys := func(i int, try uint64) []uint64 {
		k := []uint64{uint64(o.Seed), salt, uint64(i)}
		if try > 0 {
			k = append(k, try)
		}
		return k
	}
	if o.Profile != "" {
		profile, err := sudoku.ProfileNamed(o.Profile)
		if err != nil {
			panic(err) // normal has checked the profile
		}
		return func(s *sudoku.Solver, i int, try uint64) sudoku.Puzzle {
			return s.GenerateLike(profile, o.Minimal, keys(i, try)...)
		}
	}
	return func(s *sudoku.Solver, i int, try uint64) sudoku.Puzzle {
		return s.Generate(o.MinRating, keys(i, try)...)
	}
}

// generate makes the puzzles of one split, in parallel, and adds them in order. No two
// puzzles of both splits are equal up to symmetry: a puzzle whose fingerprint is known is
// drawn anew. Equal fingerprints of different puzzles only cost such a draw.
func generate(ctx context.Context, o Options, s split, tw *twins, progress func(Progress), add func(row) error) error {
	n := o.Workers
	if n <= 0 {
		n = runtime.GOMAXPROCS(0)
	}
	draw := o.generator(s.salt)
	ctx, cancel := context.WithCancel(ctx)
	stop := func() bool { return ctx.Err() != nil }
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	results := make([]chan row, n)
	for k := range n {
		results[k] = make(chan row, 16)
		wg.Go(func() {
			defer close(results[k])
			solver := sudoku.Solver{Stop: stop}
			for i := k; i < s.wanted && !stop(); i += n {
				p := draw(&solver, i, 0)
				select {
				case results[k] <- row{Puzzle: p, index: int64(i), print: p.Question.Fingerprint()}:
				case <-ctx.Done():
				}
			}
		})
	}
	own, test := map[uint64]struct{}{}, s.name == "test"
	replacer := sudoku.Solver{Stop: stop}
	for i := range s.wanted {
		p, ok := <-results[i%n]
		if !ok || stop() {
			return ctx.Err()
		}
		for try := uint64(1); ; try++ {
			_, here := own[p.print]
			inTrain := test && len(tw.candidates(p.print)) > 0
			if !here && !inTrain {
				break
			}
			p.Puzzle = draw(&replacer, i, try)
			if stop() {
				return ctx.Err()
			}
			p.print = p.Question.Fingerprint()
		}
		own[p.print] = struct{}{}
		if err := add(p); err != nil {
			return err
		}
		progress(Progress{Stage: s.name, Done: int64(i + 1), Total: int64(s.wanted)})
	}
	return ctx.Err()
}
