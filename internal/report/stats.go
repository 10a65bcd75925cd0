package report

import (
	"math"
	"math/rand/v2"
	"slices"
)

// Statistics of a comparison: everything is deterministic, resampling is seeded.
const (
	bootstrapSamples = 4000
	bootstrapSeed    = 20251
	alpha            = 0.05
	// zPower is z(1-alpha/2) + z(0.80): a paired difference below this many
	// standard errors is found in fewer than 80% of repetitions.
	zPower = 1.959964 + 0.841621
)

// Interval is a paired difference of exact accuracy (experiment minus reference)
// with its 95% confidence interval and two-sided p-value.
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
	if len(a) == 0 || len(a) != len(b) || len(a[0]) == 0 {
		return Interval{}, false
	}
	n := len(a[0])
	diff := make([][]float64, len(a))
	for s := range a {
		if len(a[s]) != n || len(b[s]) != n {
			return Interval{}, false
		}
		diff[s] = make([]float64, n)
		for i := range n {
			diff[s][i] = flag(a[s][i]) - flag(b[s][i])
		}
	}
	rng := rand.New(rand.NewPCG(bootstrapSeed, uint64(n)))
	draws := make([]float64, bootstrapSamples)
	weights := make([]float64, n)
	for d := range draws {
		clear(weights)
		for range n {
			weights[rng.IntN(n)]++
		}
		sum := 0.0
		for range diff {
			s := 0
			if len(diff) > 1 {
				s = rng.IntN(len(diff))
			}
			for i, w := range weights {
				sum += w * diff[s][i]
			}
		}
		draws[d] = sum / float64(n*len(diff))
	}
	iv = Interval{Puzzles: n, Seeds: len(diff)}
	for _, row := range diff {
		for _, x := range row {
			iv.Delta += x / float64(n*len(diff))
		}
	}
	slices.Sort(draws)
	iv.Low, iv.High = quantile(draws, alpha/2), quantile(draws, 1-alpha/2)
	se := deviation(draws)
	iv.P = 1
	if se > 0 {
		iv.P = math.Erfc(math.Abs(iv.Delta) / se / math.Sqrt2)
	}
	// Where hardly a puzzle differs the spread is not known; the rule of three
	// bounds a share that was never seen in n.
	iv.MDE = max(zPower*se, 3/float64(n))
	return iv, true
}

// Unpaired compares solved flags over different test puzzles, pooled over seeds,
// by the normal approximation of a difference of two shares.
func Unpaired(a, b [][]bool) (iv Interval, ok bool) {
	x, y := slices.Concat(a...), slices.Concat(b...)
	if len(x) == 0 || len(y) == 0 {
		return Interval{}, false
	}
	share := func(fs []bool) (p, variance float64) {
		for _, f := range fs {
			p += flag(f) / float64(len(fs))
		}
		return p, p * (1 - p) / float64(len(fs))
	}
	px, vx := share(x)
	py, vy := share(y)
	se := math.Sqrt(vx + vy)
	least := min(len(x), len(y))
	iv = Interval{Delta: px - py, Low: px - py - 1.959964*se, High: px - py + 1.959964*se, P: 1, MDE: max(zPower*se, 3/float64(least)), Puzzles: least, Seeds: len(a)}
	if se > 0 {
		iv.P = math.Erfc(math.Abs(iv.Delta) / se / math.Sqrt2)
	}
	return iv, true
}

// Underpowered says that the comparison could not have found a difference of the
// observed size: no significance, and the observed difference is below the minimal
// detectable one.
func (iv Interval) Underpowered(pHolm float64) bool {
	return pHolm > alpha && math.Abs(iv.Delta) < iv.MDE
}

func flag(b bool) float64 {
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
