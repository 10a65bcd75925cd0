package report

import (
	"math"
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
}

// newSample reads rows[seed][puzzle]; ok is false where there is nothing, or
// where the seeds have different numbers of puzzles.
func newSample(rows [][]int8) (s sample, ok bool) {
	if len(rows) == 0 || len(rows[0]) == 0 {
		return s, false
	}
	s.puzzles, s.seeds = len(rows[0]), len(rows)
	for _, r := range rows {
		if len(r) != s.puzzles {
			return s, false
		}
	}
	found := map[string]float64{}
	key := make([]byte, s.seeds)
	for i := range s.puzzles {
		for k, r := range rows {
			key[k] = byte(r[i])
		}
		found[string(key)]++
	}
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
		s.counts = append(s.counts, found[string(key)])
	}
	return s, true
}

// smoothed has one puzzle more of every value, the same in all seeds: few
// puzzles that happen to agree do not prove that all would (Bonett and Price
// 2012 for paired, Agresti and Caffo 2000 for independent proportions).
func (s sample) smoothed(values ...int8) sample {
	s.kinds, s.counts = slices.Clone(s.kinds), slices.Clone(s.counts)
	for _, v := range values {
		s.kinds = append(s.kinds, slices.Repeat([]int8{v}, s.seeds))
		s.counts = append(s.counts, 1)
		s.puzzles++
	}
	return s
}

// seedMeans is the mean over puzzles with every seed.
func (s sample) seedMeans() []float64 {
	means := make([]float64, s.seeds)
	for k, values := range s.kinds {
		for seed, v := range values {
			means[seed] += s.counts[k] * float64(v) / float64(s.puzzles)
		}
	}
	return means
}

func (s sample) mean() float64 {
	sum := 0.0
	for _, m := range s.seedMeans() {
		sum += m
	}
	return sum / float64(s.seeds)
}

// variance of the mean, for puzzles and seeds that are both drawn at random: the
// two-way analysis of variance without replication, and Satterthwaite's degrees
// of freedom for it.
func (s sample) variance() (v, df float64) {
	n, m := float64(s.puzzles), float64(s.seeds)
	seeds, mean := s.seedMeans(), s.mean()
	var ssPuzzles, ssSeeds, ssAll float64
	for k, values := range s.kinds {
		sum := 0.0
		for _, x := range values {
			sum += float64(x)
			ssAll += s.counts[k] * (float64(x) - mean) * (float64(x) - mean)
		}
		ssPuzzles += s.counts[k] * m * (sum/m - mean) * (sum/m - mean)
	}
	if s.seeds == 1 {
		return ssPuzzles / (n - 1) / n, n - 1
	}
	for _, x := range seeds {
		ssSeeds += n * (x - mean) * (x - mean)
	}
	puzzles, seed, rest := ssPuzzles/(n-1)/(n*m), ssSeeds/(m-1)/(n*m), max(0, ssAll-ssPuzzles-ssSeeds)/((n-1)*(m-1))/(n*m)
	v = puzzles + max(0, seed-rest)
	if v == 0 {
		return 0, n - 1
	}
	if seed <= rest {
		return v, n - 1
	}
	return v, v * v / (puzzles*puzzles/(n-1) + seed*seed/(m-1) + rest*rest/((n-1)*(m-1)))
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

// deviations are n resampled means less the mean. A resample of few seeds varies
// less than few seeds do, and how much they do is itself hardly known: the
// deviations are scaled to the variance above and divided by the root of a
// chi-squared over its degrees of freedom, which turns a normal deviation into
// Student's t.
func (s sample) deviations(n int, stream uint64) []float64 {
	src := rand.NewPCG(bootstrapSeed, stream)
	totals := make([]float64, s.seeds)
	out := make([]float64, n)
	mean := s.mean()
	for i := range out {
		out[i] = s.draw(src, totals) - mean
	}
	v, df := s.variance()
	spread := deviation(out)
	if spread == 0 {
		return out
	}
	scale := math.Sqrt(v) / spread
	chi := distuv.ChiSquared{K: df, Src: src}
	for i := range out {
		out[i] *= scale / math.Sqrt(chi.Rand()/df)
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
