package report

import (
	"math"
	"slices"
)

// Statistics of a comparison: everything is deterministic, resampling is seeded.
const (
	bootstrapSamples = 10000
	bootstrapSeed    = 20251
	alpha            = 0.05
	// zPower is z(1-alpha/2) + z(0.80): a paired difference below this many
	// standard errors is found in fewer than 80% of repetitions.
	zPower = 1.959964 + 0.841621
)

// Interval is a difference of exact accuracy (experiment minus reference) with
// its 95% confidence interval and two-sided p-value, both by bootstrap.
type Interval struct {
	Delta, Low, High float64
	P                float64 // not corrected
	MDE              float64 // minimal detectable difference at 80% power
	Puzzles, Seeds   int
}

// PairedBootstrap compares solved flags of the same test puzzles. Each element of
// a and b is one seed; puzzles are resampled together over all seeds, and where
// there are several seed pairs, seeds are resampled too. Unpaired lengths give ok = false.
func PairedBootstrap(a, b [][]bool) (iv Interval, ok bool) {
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
	return interval(s.mean, s.means(bootstrapSamples, 1), s.puzzles, s.seeds), true
}

// Unpaired compares solved flags over different test puzzles by resampling both
// sides on their own.
func Unpaired(a, b [][]bool) (iv Interval, ok bool) {
	x, okA := newSample(flagRows(a))
	y, okB := newSample(flagRows(b))
	if !okA || !okB {
		return Interval{}, false
	}
	draws := x.means(bootstrapSamples, 2)
	for i, m := range y.means(bootstrapSamples, 3) {
		draws[i] -= m
	}
	return interval(x.mean-y.mean, draws, min(x.puzzles, y.puzzles), min(x.seeds, y.seeds)), true
}

// interval reads the percentile interval and the p-value off resampled
// differences: p is the share of resamples that lie as far from the observed
// difference as zero does, the observed one counted in (so it is never 0).
func interval(delta float64, draws []float64, puzzles, seeds int) Interval {
	iv := Interval{Delta: delta, Puzzles: puzzles, Seeds: seeds}
	far := 1
	for _, d := range draws {
		if math.Abs(d-delta) >= math.Abs(delta)-1e-12 {
			far++
		}
	}
	iv.P = float64(far) / float64(len(draws)+1)
	slices.Sort(draws)
	iv.Low, iv.High = quantile(draws, alpha/2), quantile(draws, 1-alpha/2)
	// Where hardly a puzzle differs the spread is not known; the rule of three
	// bounds a share that was never seen in n.
	iv.MDE = max(zPower*deviation(draws), 3/float64(puzzles))
	return iv
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

// Underpowered says that the comparison could not have found a difference of the
// observed size: no significance, and the observed difference is below the minimal
// detectable one.
func (iv Interval) Underpowered(pHolm float64) bool {
	return pHolm > alpha && math.Abs(iv.Delta) < iv.MDE
}

func flag(b bool) int8 {
	if b {
		return 1
	}
	return 0
}

// quantile of a sorted sample, linearly interpolated.
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

// Holm corrects p-values for their number, step down; the order is kept.
func Holm(p []float64) []float64 {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int {
		switch {
		case p[i] < p[j]:
			return -1
		case p[i] > p[j]:
			return 1
		}
		return 0
	})
	out := make([]float64, len(p))
	worst := 0.0
	for rank, i := range order {
		worst = max(worst, min(1, p[i]*float64(len(p)-rank)))
		out[i] = worst
	}
	return out
}
