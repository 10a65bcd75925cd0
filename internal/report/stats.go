package report

import (
	"cmp"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// Constants of a comparison. Resampling is seeded, so that results are deterministic.
const (
	bootstrapSamples = 10000
	bootstrapSeed    = 20251
	alpha            = 0.05
	power            = 0.8
	// interesting is the smallest difference of exact accuracy that the study must
	// detect: the paper's ablations differ by 2 to 32 points.
	interesting = 0.02
)

// Interval is a difference of exact accuracy (experiment minus reference) with
// its 95% confidence interval and two-sided p-value, both by bootstrap.
type Interval struct {
	Delta, Low, High float64
	P                float64 // not corrected for multiple comparisons
	StdErr           float64
	DF               float64 // degrees of freedom of StdErr
	Puzzles, Seeds   int
}

// PairedBootstrap compares the flags of solved puzzles of two experiments on the same
// test puzzles; a[seed][puzzle] and b[seed][puzzle] are paired. Puzzles are resampled
// together over all seeds, and seeds too if there are several. ok is false if the lengths differ.
func PairedBootstrap(a, b [][]bool) (iv Interval, ok bool) {
	return pairedBootstrap(a, b, bootstrapSamples)
}

func pairedBootstrap(a, b [][]bool, draws int) (iv Interval, ok bool) {
	if len(a) != len(b) {
		return Interval{}, false
	}
	diff := make([][]int8, len(a))
	for s := range a {
		if len(a[s]) != len(b[s]) {
			return Interval{}, false
		}
		diff[s] = make([]int8, len(a[s]))
		for i := range a[s] {
			diff[s][i] = flag(a[s][i]) - flag(b[s][i])
		}
	}
	s, ok := newSample(diff)
	if !ok {
		return Interval{}, false
	}
	smooth := s.smoothed(-1, 1)
	iv = Interval{Delta: s.mean(), Puzzles: s.puzzles, Seeds: s.seeds}
	v, df := smooth.variance()
	iv.fill(smooth.mean(), math.Sqrt(v), df, smooth.deviations(draws, 1))
	return iv, true
}

// Unpaired compares flags of solved puzzles over different test puzzles by resampling
// both sides independently.
func Unpaired(a, b [][]bool) (iv Interval, ok bool) { return unpaired(a, b, bootstrapSamples) }

func unpaired(a, b [][]bool, n int) (iv Interval, ok bool) {
	x, okA := newSample(flagRows(a))
	y, okB := newSample(flagRows(b))
	if !okA || !okB {
		return Interval{}, false
	}
	iv = Interval{Delta: x.mean() - y.mean(), Puzzles: min(x.puzzles, y.puzzles), Seeds: min(x.seeds, y.seeds)}
	x, y = x.smoothed(0, 1), y.smoothed(0, 1)
	draws := x.deviations(n, 2)
	for i, d := range y.deviations(n, 3) {
		draws[i] -= d
	}
	vx, dfx := x.variance()
	vy, dfy := y.variance()
	df := (vx + vy) * (vx + vy) / (vx*vx/dfx + vy*vy/dfy)
	iv.fill(x.mean()-y.mean(), math.Sqrt(vx+vy), df, draws)
	return iv, true
}

// fill computes the percentile interval and the p-value from resampled deviations from
// the (smoothed) difference. p is the share of resamples that deviate at least as much
// as the difference does from zero. The observed difference counts as one of them, so p is never 0.
func (iv *Interval) fill(difference, stdErr, df float64, deviations []float64) {
	far := 1
	for _, d := range deviations {
		if math.Abs(d) >= math.Abs(difference)-1e-12 {
			far++
		}
	}
	iv.P = float64(far) / float64(len(deviations)+1)
	iv.StdErr, iv.DF = stdErr, df
	slices.Sort(deviations)
	iv.Low = max(-1, min(iv.Delta, difference+quantile(deviations, alpha/2)))
	iv.High = min(1, max(iv.Delta, difference+quantile(deviations, 1-alpha/2)))
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

// Detectable returns the smallest difference that a comparison with this standard error,
// one of so many under Holm's correction, calls significant in at least 80% of
// repetitions. It uses Bonferroni's level, the strictest one that Holm applies.
func (iv Interval) Detectable(comparisons int) float64 {
	t := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: iv.DF}
	return min(1, (t.Quantile(1-alpha/2/float64(comparisons))+t.Quantile(power))*iv.StdErr)
}

// underpowered says whether a comparison decides nothing: it is not significant, and it
// would probably have missed a difference of interesting size.
func underpowered(pHolm, detectable float64) bool {
	return pHolm > alpha && detectable > interesting
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

// Holm corrects p-values for the number of comparisons by Holm's step-down method. The order is kept.
func Holm(p []float64) []float64 {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(p[i], p[j]) })
	out := make([]float64, len(p))
	worst := 0.0
	for rank, i := range order {
		worst = max(worst, min(1, p[i]*float64(len(p)-rank)))
		out[i] = worst
	}
	return out
}
