package report

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// Constants of a comparison. Resampling is seeded, so that results are deterministic.
const (
	bootstrapSeed = 20251
	alpha         = 0.05
	power         = 0.8
	// interesting is the smallest difference of exact accuracy that the study must
	// detect: the paper's ablations differ by 2 to 32 points.
	interesting = 0.02
)

// Interval is a difference of exact accuracy (experiment minus reference) with a confidence
// interval and a two-sided p-value. Both are of the same resamples and go together: the
// interval of a level leaves out 0 exactly if P is at most 1 - level.
type Interval struct {
	Delta, Low, High float64
	P                float64 // not corrected for multiple comparisons
	AtFloor          bool    // no resample deviates as far as 0 lies away: P is an upper bound
	StdErr           float64
	DF               float64 // degrees of freedom of StdErr
	Puzzles, Seeds   int
}

// difference is a difference of exact accuracy that can be resampled.
type difference struct {
	delta          float64
	puzzles, seeds int
	sides          []sample // smoothed: one of differences by puzzle, or experiment and reference if they are not paired
}

// paired is the difference of two experiments over the same test puzzles; a[seed][puzzle] and
// b[seed][puzzle] are paired. Puzzles are resampled together over all seeds, and seeds too if
// there are several. ok is false if the lengths differ.
func paired(a, b [][]bool) (d difference, ok bool) {
	if len(a) != len(b) {
		return d, false
	}
	diff := make([][]int8, len(a))
	for s := range a {
		if len(a[s]) != len(b[s]) {
			return d, false
		}
		diff[s] = make([]int8, len(a[s]))
		for i := range a[s] {
			diff[s][i] = flag(a[s][i]) - flag(b[s][i])
		}
	}
	s, ok := newSample(diff)
	if !ok {
		return d, false
	}
	return difference{delta: s.mean(), puzzles: s.puzzles, seeds: s.seeds, sides: []sample{s.smoothed(-1, 1)}}, true
}

// unpaired is the difference of two experiments over different test puzzles; both sides are
// resampled independently.
func unpaired(a, b [][]bool) (d difference, ok bool) {
	x, okA := newSample(flagRows(a))
	y, okB := newSample(flagRows(b))
	if !okA || !okB {
		return d, false
	}
	return difference{
		delta:   x.mean() - y.mean(),
		puzzles: min(x.puzzles, y.puzzles),
		seeds:   min(x.seeds, y.seeds),
		sides:   []sample{x.smoothed(0, 1), y.smoothed(0, 1)},
	}, true
}

// PairedBootstrap compares the flags of solved puzzles of two experiments on the same test
// puzzles, with an interval of 95%. ok is false if they cannot be paired.
func PairedBootstrap(a, b [][]bool) (iv Interval, ok bool) {
	d, ok := paired(a, b)
	if !ok {
		return Interval{}, false
	}
	return d.interval(alpha, resamples(alpha)), true
}

// resamples is how many resamples give a tail of level/2 enough of them.
func resamples(level float64) int {
	const least, most, inTail = 10_000, 100_000, 40
	return int(max(least, min(most, math.Ceil(2*inTail/level))))
}

// interval bootstraps the interval that misses the true difference with probability level.
func (d difference) interval(level float64, draws int) Interval {
	first := d.sides[0]
	mean := first.mean()
	v, df := first.variance()
	var deviations []float64
	if len(d.sides) == 1 {
		deviations = first.deviations(draws, 1)
	} else {
		second := d.sides[1]
		deviations = first.deviations(draws, 2)
		for i, x := range second.deviations(draws, 3) {
			deviations[i] -= x
		}
		w, dfw := second.variance()
		df = (v + w) * (v + w) / (v*v/df + w*w/dfw)
		v += w
		mean -= second.mean()
	}
	iv := Interval{Delta: d.delta, StdErr: math.Sqrt(v), DF: df, Puzzles: d.puzzles, Seeds: d.seeds}
	iv.fill(mean, level, deviations)
	return iv
}

// fill computes the percentile interval and the p-value from resampled deviations from the
// (smoothed) difference. p is twice the share of resamples that deviate from it to one side by
// as much as 0 does; the observed difference counts as one of them, so that p is never 0.
func (iv *Interval) fill(difference, level float64, deviations []float64) {
	slices.Sort(deviations)
	n := len(deviations)
	below, _ := slices.BinarySearch(deviations, -difference) // these are smaller
	above := n - below                                       // these are as great or greater
	for below < n && deviations[below] == -difference {
		below++
	}
	far := min(below, above)
	iv.AtFloor = far == 0
	iv.P = min(1, 2*float64(far+1)/float64(n+1))
	iv.Low, iv.High = -1, 1
	// The k-th value from either end lies on the other side of -difference than its end exactly if
	// fewer than k values are beyond, which is P <= level.
	if k := int(level / 2 * float64(n+1)); k > 0 {
		iv.Low = max(-1, min(iv.Delta, difference+deviations[k-1]))
		iv.High = min(1, max(iv.Delta, difference+deviations[n-k]))
	}
}

// accuracyInterval is Wilson's score interval (95%) of an exact accuracy: flags[seed] of puzzles
// that were solved. With several seeds, the number of puzzles is that of independent ones which
// would give the variance of the mean over puzzles and seeds, with Student's t for its uncertainty.
func accuracyInterval(flags [][]bool) (low, high float64, ok bool) {
	s, ok := newSample(flagRows(flags))
	if !ok {
		return 0, 0, false
	}
	share, n, z := s.mean(), float64(s.puzzles), distuv.UnitNormal.Quantile(1-alpha/2)
	if s.seeds > 1 {
		v, df := s.variance()
		if v > 0 {
			n = min(share*(1-share)/v, n*float64(s.seeds))
		}
		z = distuv.StudentsT{Sigma: 1, Nu: df}.Quantile(1 - alpha/2)
	}
	low, high = wilson(share, n, z)
	return low, high, true
}

// wilson is the score interval of a share of n, of z standard deviations.
func wilson(share, n, z float64) (low, high float64) {
	center := (share + z*z/(2*n)) / (1 + z*z/n)
	half := z / (1 + z*z/n) * math.Sqrt(share*(1-share)/n+z*z/(4*n*n))
	return max(0, min(share, center-half)), min(1, max(share, center+half))
}

func flagRows(seeds [][]bool) [][]int8 {
	rows := make([][]int8, len(seeds))
	for s, flags := range seeds {
		rows[s] = make([]int8, len(flags))
		for i, f := range flags {
			rows[s][i] = flag(f)
		}
	}
	return rows
}

// Detectable returns the smallest difference that a comparison with this standard error, one of
// so many, calls significant in at least 80% of repetitions.
func (iv Interval) Detectable(comparisons int) float64 {
	t := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: iv.DF}
	return min(1, (t.Quantile(1-alpha/2/float64(comparisons))+t.Quantile(power))*iv.StdErr)
}

// corrected is Bonferroni's p-value of one of so many comparisons. It holds however these depend
// on each other (they share puzzles and references), and intervals of level 1 - alpha/comparisons
// go with it: all of them hold together with 95%, and one leaves out 0 exactly if its p is at most alpha.
func corrected(p float64, comparisons int) float64 { return min(1, p*float64(comparisons)) }

// PText is a p-value for people. One at the floor of the bootstrap is an upper bound.
func PText(p float64, atFloor bool) string {
	const digits = 1000
	switch {
	case atFloor:
		return fmt.Sprintf("< %.3f", math.Floor(p*digits+1)/digits)
	case p < 1./digits:
		return "< 0.001"
	}
	return fmt.Sprintf("%.3f", p)
}

func flag(b bool) int8 {
	if b {
		return 1
	}
	return 0
}

// quantile returns the q-quantile of a sorted sample with linear interpolation.
func quantile(sorted []float64, q float64) float64 {
	x := q * float64(len(sorted)-1)
	i := int(x)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + (x-float64(i))*(sorted[i+1]-sorted[i])
}

func deviation(xs []float64) float64 {
	mean, sum := 0.0, 0.0
	for _, x := range xs {
		mean += x / float64(len(xs))
	}
	for _, x := range xs {
		sum += (x - mean) * (x - mean)
	}
	return math.Sqrt(sum / float64(len(xs)))
}
