package report

import (
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// sample holds small numbers that were measured on the same test puzzles with every
// seed. Puzzles with the same values in all seeds are counted as one kind: drawing
// puzzles with replacement then only draws the count of each kind, so the cost does
// not depend on the number of puzzles.
type sample struct {
	puzzles, seeds int
	kinds          [][]int8  // [kind][seed] values, sorted
	counts         []float64 // puzzles of each kind
}

// newSample reads rows[seed][puzzle]. ok is false if rows is empty or the seeds have
// different numbers of puzzles.
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

// smoothed returns the sample with one more puzzle for each of the values, the same in
// all seeds. Without them, a few puzzles that happen to agree would give a variance of
// zero (Bonett and Price 2012 for paired, Agresti and Caffo 2000 for independent proportions).
func (s sample) smoothed(values ...int8) sample {
	s.kinds, s.counts = slices.Clone(s.kinds), slices.Clone(s.counts)
	for _, v := range values {
		s.kinds = append(s.kinds, slices.Repeat([]int8{v}, s.seeds))
		s.counts = append(s.counts, 1)
		s.puzzles++
	}
	return s
}

// seedMeans returns the mean over puzzles for every seed.
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

// variance returns the variance of the mean if both puzzles and seeds are drawn at
// random, by the two-way analysis of variance without replication, and its degrees of
// freedom by Satterthwaite's approximation.
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

// draw returns the mean of one resample. Puzzles are drawn with replacement, the same
// ones for every seed; seeds are drawn with replacement if there are several.
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

// deviations returns n resampled means minus the mean. Resamples of few seeds vary less
// than the seeds do, and the variance between few seeds is itself uncertain. Therefore
// the deviations are scaled to the result of variance and divided by the root of a
// chi-squared variable over its degrees of freedom, which turns a normal deviation
// into one of Student's t.
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
