package report

import (
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// sample are small numbers measured on the same test puzzles with every seed.
// Puzzles that agree in all seeds are one kind: drawing puzzles with replacement
// is drawing how often each kind comes, whatever the number of puzzles.
type sample struct {
	puzzles, seeds int
	kinds          [][]int8  // per kind one value per seed, sorted
	counts         []float64 // puzzles of each kind
	mean           float64
}

// newSample reads rows[seed][puzzle]; ok is false where there is nothing, or
// where the seeds have different numbers of puzzles.
func newSample(rows [][]int8) (s sample, ok bool) {
	if len(rows) == 0 || len(rows[0]) == 0 {
		return s, false
	}
	s.puzzles, s.seeds = len(rows[0]), len(rows)
	found := map[string]int{}
	key := make([]byte, s.seeds)
	sum := 0
	for _, r := range rows {
		if len(r) != s.puzzles {
			return s, false
		}
	}
	for i := range s.puzzles {
		for k, r := range rows {
			key[k] = byte(r[i])
			sum += int(r[i])
		}
		found[string(key)]++
	}
	s.mean = float64(sum) / float64(s.puzzles*s.seeds)
	for k := range found {
		values := make([]int8, s.seeds)
		for i := range k {
			values[i] = int8(k[i])
		}
		s.kinds = append(s.kinds, values)
	}
	slices.SortFunc(s.kinds, slices.Compare[[]int8])
	for _, values := range s.kinds {
		for i, v := range values {
			key[i] = byte(v)
		}
		s.counts = append(s.counts, float64(found[string(key)]))
	}
	return s, true
}

// draw is the mean of one resample: puzzles with replacement, the same ones for
// every seed, and seeds with replacement where there are several.
func (s sample) draw(src *rand.PCG, totals []float64) float64 {
	clear(totals)
	left, rest := float64(s.puzzles), float64(s.puzzles)
	for k, values := range s.kinds {
		times := binomial(left, s.counts[k]/rest, src)
		left -= times
		rest -= s.counts[k]
		for seed, v := range values {
			totals[seed] += times * float64(v)
		}
	}
	if s.seeds == 1 {
		return totals[0] / float64(s.puzzles)
	}
	rng := rand.New(src)
	sum := 0.0
	for range s.seeds {
		sum += totals[rng.IntN(s.seeds)]
	}
	return sum / float64(s.puzzles*s.seeds)
}

// means are n resampled means.
func (s sample) means(n int, stream uint64) []float64 {
	src := rand.NewPCG(bootstrapSeed, stream)
	totals := make([]float64, s.seeds)
	out := make([]float64, n)
	for i := range out {
		out[i] = s.draw(src, totals)
	}
	return out
}

func binomial(n, p float64, src *rand.PCG) float64 {
	switch {
	case n <= 0 || p <= 0:
		return 0
	case p >= 1:
		return n
	}
	return distuv.Binomial{N: n, P: p, Src: src}.Rand()
}
