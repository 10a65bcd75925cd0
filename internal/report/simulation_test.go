package report

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gonum.org/v1/plot/plotter"
)

// world makes pairs of flags: a puzzle is solved with a probability that depends
// on the puzzle, on the side, and in the difference of the sides on the seed.
type world struct {
	puzzles, seeds int
	base, delta    float64 // solved share of the reference, true mean difference
	seedSD         float64 // of the difference from seed to seed
}

func (w world) draw(rng *rand.Rand) (a, b [][]bool) {
	hard := make([]float64, w.puzzles)
	for i := range hard {
		hard[i] = min(w.base, 1-w.base-w.delta, 0.2) * (2*rng.Float64() - 1)
	}
	for range w.seeds {
		shift := w.delta + w.seedSD*rng.NormFloat64()
		x, y := make([]bool, w.puzzles), make([]bool, w.puzzles)
		for i := range x {
			x[i] = rng.Float64() < w.base+hard[i]+shift
			y[i] = rng.Float64() < w.base+hard[i]
		}
		a, b = append(a, x), append(b, y)
	}
	return a, b
}

// repeat is the share of trials in which the interval has the true difference,
// and in which the uncorrected p is at most level.
func repeat(
	t *testing.T, w world, compare func(a, b [][]bool, draws int) (Interval, bool), trials int, level float64,
) (covered, significant float64) {
	t.Helper()
	rng := rand.New(rand.NewPCG(3, 4))
	hits, found := 0, 0
	for range trials {
		a, b := w.draw(rng)
		iv, ok := compare(a, b, 400)
		if !ok {
			t.Fatal("nothing to compare")
		}
		if iv.Low <= w.delta && w.delta <= iv.High {
			hits++
		}
		if iv.P <= level {
			found++
		}
	}
	return float64(hits) / float64(trials), float64(found) / float64(trials)
}

// The interval has the true difference in about 95 of 100 repetitions, and where
// there is none p is at most 0.05 in about 5 of them. Few puzzles, and seeds that
// make no difference, give intervals that are rather too wide; two seeds that do
// give too narrow ones, which nothing in two numbers can tell.
func TestCoverageOfIntervals(t *testing.T) {
	for _, tc := range []struct {
		name       string
		w          world
		low, high  float64 // coverage
		mostFalse  float64
		notPairing bool
	}{
		{"few puzzles", world{16, 1, 0.5, 0, 0}, 0.93, 1, 0.07, false},
		{"few puzzles, hardly one solved", world{16, 1, 0.05, 0, 0}, 0.95, 1, 0.05, false},
		{"a difference", world{80, 1, 0.5, 0.2, 0}, 0.91, 0.99, 1, false},
		{"nearly all solved", world{500, 1, 0.97, 0, 0}, 0.92, 0.99, 0.08, false},
		{"unpaired", world{80, 1, 0.6, 0, 0}, 0.92, 0.99, 0.08, true},
		{"unpaired, a difference", world{80, 1, 0.5, 0.2, 0}, 0.92, 0.99, 1, true},
		{"two seeds that differ much", world{300, 2, 0.5, 0, 0.1}, 0.84, 0.99, 0.16, false},
		{"three seeds alike", world{300, 3, 0.5, 0, 0}, 0.93, 1, 0.07, false},
		{"three seeds that differ", world{300, 3, 0.5, 0, 0.03}, 0.90, 0.99, 0.10, false},
		{"three seeds that differ much", world{300, 3, 0.5, 0, 0.1}, 0.90, 0.99, 0.10, false},
		{"five seeds that differ", world{60, 5, 0.5, 0, 0.08}, 0.91, 0.99, 0.09, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			compare := pairedBootstrap
			if tc.notPairing {
				compare = unpaired
			}
			covered, significant := repeat(t, tc.w, compare, 200, 0.05)
			t.Logf("coverage %.3f, p <= 0.05 in %.3f", covered, significant)
			if covered < tc.low || covered > tc.high {
				t.Errorf("coverage %.3f, want %.2f to %.2f", covered, tc.low, tc.high)
			}
			if tc.w.delta == 0 && significant > tc.mostFalse {
				t.Errorf("p <= 0.05 in %.3f of repetitions without a difference", significant)
			}
		})
	}
}

// Seventeen comparisons against one reference, none of which differs: Holm calls
// any of them significant in at most about 5 of 100 studies.
func TestHolmKeepsTheFamilyWiseError(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	const studies, experiments = 80, 17
	wrong, uncorrected := 0, 0
	for range studies {
		w := world{puzzles: 200, seeds: 1, base: 0.6}
		reference, _ := w.draw(rng)
		var ps []float64
		for range experiments {
			x, _ := w.draw(rng)
			iv, _ := pairedBootstrap(x, reference, 1000)
			ps = append(ps, iv.P)
		}
		least, leastHolm := 1.0, 1.0
		for i, p := range Holm(ps) {
			least, leastHolm = min(least, ps[i]), min(leastHolm, p)
		}
		if leastHolm <= alpha {
			wrong++
		}
		if least <= alpha {
			uncorrected++
		}
	}
	t.Logf("wrong in %d of %d studies, %d without the correction", wrong, studies, uncorrected)
	if wrong > 10 || uncorrected < 20 {
		t.Errorf("some difference is significant in %d of %d studies without one (%d uncorrected), want about 5%%", wrong, studies, uncorrected)
	}
}

// A true difference of the detectable size is found in about 80 of 100 repetitions.
func TestDetectableDifferenceIsFound(t *testing.T) {
	for _, comparisons := range []int{1, 17} {
		w := world{puzzles: 400, seeds: 1, base: 0.5}
		a, b := w.draw(rand.New(rand.NewPCG(5, 6)))
		iv, _ := pairedBootstrap(a, b, 400)
		w.delta = iv.Detectable(comparisons)
		_, found := repeat(t, w, func(a, b [][]bool, _ int) (Interval, bool) { return pairedBootstrap(a, b, 2000) }, 150,
			alpha/float64(comparisons))
		t.Logf("%d comparisons: %.4f is found in %.3f", comparisons, w.delta, found)
		if found < 0.70 || found > 0.90 {
			t.Errorf("%d comparisons: a difference of %.4f is found in %.3f of repetitions, want about 0.80", comparisons, w.delta, found)
		}
	}
}

// The variance for one seed is that of the textbook, and for seeds that only
// differ as a whole it is the seeds' own.
func TestVariance(t *testing.T) {
	rows := [][]int8{make([]int8, 1000)}
	for i := range 200 {
		rows[0][i] = 1
	}
	s, _ := newSample(rows)
	if v, df := s.variance(); math.Abs(v-0.2*0.8/999) > 1e-12 || df != 999 {
		t.Errorf("one seed: variance %v with %v degrees of freedom", v, df)
	}
	all := make([]int8, 1000)
	for i := range all {
		all[i] = 1
	}
	s, _ = newSample([][]int8{all, make([]int8, 1000)}) // means 1 and 0
	if v, df := s.variance(); math.Abs(v-0.25) > 1e-9 || math.Abs(df-1) > 1e-6 {
		t.Errorf("two seeds: variance %v with %v degrees of freedom, want 0.25 with 1", v, df)
	}
	iv, _ := PairedBootstrap([][]bool{bools(all), bools(make([]int8, 1000))}, [][]bool{bools(make([]int8, 1000)), bools(make([]int8, 1000))})
	if diff := cmp.Diff([]float64{-1, 1}, []float64{iv.Low, iv.High}); diff != "" {
		t.Errorf("the interval of two seeds that say the opposite (-want +got):\n%s", diff)
	}
	if iv.P < 0.3 {
		t.Errorf("two seeds that say the opposite: p %v, want at least 0.3", iv.P)
	}
}

func bools(xs []int8) []bool {
	out := make([]bool, len(xs))
	for i, x := range xs {
		out[i] = x != 0
	}
	return out
}

// Halting makes the loss a sawtooth; its mean over a period is straight.
func TestSmooth(t *testing.T) {
	var xys plotter.XYs
	for i := range 160 {
		xys = append(xys, plotter.XY{X: float64(i), Y: 3 - float64(i)/100 + float64(i%16)})
	}
	for i, xy := range smooth(xys, period(xys, 16)) {
		if want := 3 - float64(i)/100 + 7.5; i >= 8 && i < 152 && math.Abs(xy.Y-want) > 0.02 {
			t.Errorf("step %d: %v, want %v", i, xy.Y, want)
		}
	}
}
