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
	t *testing.T, w world, compare func(a, b [][]bool) (difference, bool), draws, trials int, level float64,
) (covered, significant float64) {
	t.Helper()
	rng := rand.New(rand.NewPCG(3, 4))
	hits, found := 0, 0
	for range trials {
		a, b := w.draw(rng)
		d, ok := compare(a, b)
		if !ok {
			t.Fatal("nothing to compare")
		}
		iv := d.interval(alpha, draws)
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
			compare := paired
			if tc.notPairing {
				compare = unpaired
			}
			covered, significant := repeat(t, tc.w, compare, 400, 200, 0.05)
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

// study draws experiments that share a reference, in all of which the true difference is the same.
func study(rng *rand.Rand, w world, experiments int) []Interval {
	reference, _ := world{puzzles: w.puzzles, seeds: w.seeds, base: w.base}.draw(rng)
	level := alpha / float64(experiments)
	var ivs []Interval
	for range experiments {
		x, _ := world{puzzles: w.puzzles, seeds: w.seeds, base: w.base + w.delta, seedSD: w.seedSD}.draw(rng)
		d, _ := paired(x, reference)
		ivs = append(ivs, d.interval(level, 2000))
	}
	return ivs
}

// Seventeen comparisons against one reference: all intervals together contain the true difference in about 95 of 100
// studies, and where there is none, none is significant in as many.
func TestIntervalsAreSimultaneous(t *testing.T) {
	for _, c := range []struct {
		name  string
		delta float64
	}{{"no difference", 0}, {"a difference", 0.2}} {
		t.Run(c.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(11, 12))
			const studies, experiments = 60, 17
			missed, wrong, uncorrected := 0, 0, 0
			for range studies {
				miss, least := false, 1.0
				for _, iv := range study(rng, world{puzzles: 200, seeds: 1, base: 0.6, delta: c.delta}, experiments) {
					outside := iv.Low > c.delta || iv.High < c.delta
					miss = miss || outside
					least = min(least, iv.P)
				}
				if miss {
					missed++
				}
				if corrected(least, experiments) <= alpha {
					wrong++
				}
				if least <= alpha {
					uncorrected++
				}
			}
			t.Logf("an interval misses in %d of %d studies; significant in %d, %d without the correction", missed, studies, wrong, uncorrected)
			if missed > 8 {
				t.Errorf("some interval misses in %d of %d studies, want about 5%%", missed, studies)
			}
			disagree := wrong != missed || uncorrected < 15
			if c.delta == 0 && disagree {
				t.Errorf("some difference is significant in %d of %d studies without one, an interval leaves out 0 in %d (%d uncorrected)",
					wrong, studies, missed, uncorrected)
			}
		})
	}
}

// An interval leaves out 0 exactly if the corrected p is at most 0.05, whatever the data, the number of comparisons, and
// whether they are paired.
func TestIntervalsGoWithTheVerdicts(t *testing.T) {
	rng := rand.New(rand.NewPCG(21, 22))
	decided := map[bool]int{}
	for range 400 {
		w := world{
			puzzles: 5 + rng.IntN(200),
			seeds:   1 + rng.IntN(3),
			base:    0.3 + 0.3*rng.Float64(),
			delta:   0.3 * rng.Float64(),
			seedSD:  0.05 * rng.Float64(),
		}
		comparisons := 1 + rng.IntN(20)
		compare := paired
		if rng.IntN(3) == 0 {
			compare = unpaired
		}
		a, b := w.draw(rng)
		d, ok := compare(a, b)
		if !ok {
			t.Fatal("nothing to compare")
		}
		iv := d.interval(alpha/float64(comparisons), 1000)
		significant := corrected(iv.P, comparisons) <= alpha
		leavesOut := iv.Low > 0 || iv.High < 0
		if significant != leavesOut || iv.Low > iv.Delta || iv.High < iv.Delta {
			t.Fatalf("%d comparisons of %+v: corrected p %v with interval %v to %v around %v",
				comparisons, w, corrected(iv.P, comparisons), iv.Low, iv.High, iv.Delta)
		}
		decided[significant]++
	}
	if decided[true] < 50 || decided[false] < 50 {
		t.Errorf("%v: the cases are too alike", decided)
	}
}

// Where no resample is as far, p is a bound, which people read as one.
func TestPAtTheFloor(t *testing.T) {
	all, none := make([]bool, 100), make([]bool, 100)
	for i := range all {
		all[i] = true
	}
	d, _ := paired([][]bool{all}, [][]bool{none})
	const comparisons, draws = 16, 10_000
	iv := d.interval(alpha/comparisons, draws)
	if !iv.AtFloor || iv.P != 2.0/(draws+1) {
		t.Errorf("p %v, at the floor %v; want %v, true", iv.P, iv.AtFloor, 2.0/(draws+1))
	}
	for _, c := range []struct {
		p     float64
		floor bool
		want  string
	}{
		{corrected(iv.P, comparisons), true, "< 0.004"},
		{0.0016, true, "< 0.002"},
		{0.001, true, "< 0.002"},
		{0.0001, true, "< 0.001"},
		{0.0016, false, "0.002"},
		{0.0004, false, "< 0.001"},
		{1, false, "1.000"},
	} {
		if got := PText(c.p, c.floor); got != c.want {
			t.Errorf("p %v, at the floor %v: %q, want %q", c.p, c.floor, got, c.want)
		}
	}
}

// Wilson's interval is that of the textbook: 0 and 5 of 10.
func TestWilson(t *testing.T) {
	for _, c := range []struct {
		name             string
		solved           int
		low, high, share float64
	}{{"none of 10", 0, 0, 0.2775, 0}, {"half of 10", 5, 0.2366, 0.7634, 0.5}, {"all of 10", 10, 0.7225, 1, 1}} {
		t.Run(c.name, func(t *testing.T) {
			flags := make([]bool, 10)
			for i := range c.solved {
				flags[i] = true
			}
			low, high, ok := accuracyInterval([][]bool{flags})
			if !ok || math.Abs(low-c.low) > 1e-4 || math.Abs(high-c.high) > 1e-4 {
				t.Errorf("%v to %v, %v; want %v to %v", low, high, ok, c.low, c.high)
			}
		})
	}
	if _, _, ok := accuracyInterval(nil); ok {
		t.Error("an interval of nothing")
	}
}

// The interval of an accuracy contains the true one in about 95 of 100 repetitions; that of many seeds which agree is no
// narrower than puzzles allow.
func TestCoverageOfAccuracyIntervals(t *testing.T) {
	for _, c := range []struct {
		name       string
		w          world
		trials     int
		least, top float64
	}{
		{"128 puzzles, half solved", world{puzzles: 128, seeds: 1, base: 0.5}, 2000, 0.93, 0.98},
		{"128 puzzles, a fifth solved", world{puzzles: 128, seeds: 1, base: 0.2}, 2000, 0.93, 0.98},
		{"128 puzzles, hardly one solved", world{puzzles: 128, seeds: 1, base: 0.01}, 2000, 0.93, 1},
		{"128 puzzles, nearly all solved", world{puzzles: 128, seeds: 1, base: 0.97}, 2000, 0.92, 0.99},
		{"20 puzzles", world{puzzles: 20, seeds: 1, base: 0.3}, 2000, 0.92, 0.99},
		{"three seeds alike", world{puzzles: 128, seeds: 3, base: 0.5}, 1000, 0.92, 0.99},
		{"three seeds that differ", world{puzzles: 300, seeds: 3, base: 0.5, seedSD: 0.05}, 1000, 0.89, 0.99},
		{"five seeds that differ", world{puzzles: 300, seeds: 5, base: 0.5, seedSD: 0.05}, 1000, 0.91, 0.99},
	} {
		t.Run(c.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(31, 32))
			hits := 0
			for range c.trials {
				flags, _ := c.w.draw(rng)
				low, high, _ := accuracyInterval(flags)
				if low <= c.w.base && c.w.base <= high {
					hits++
				}
			}
			covered := float64(hits) / float64(c.trials)
			t.Logf("coverage %.3f", covered)
			if covered < c.least || covered > c.top {
				t.Errorf("coverage %.3f, want %.2f to %.2f", covered, c.least, c.top)
			}
		})
	}
}

// A true difference of the detectable size is found in about 80 of 100 repetitions.
func TestDetectableDifferenceIsFound(t *testing.T) {
	for _, comparisons := range []int{1, 17} {
		w := world{puzzles: 400, seeds: 1, base: 0.5}
		a, b := w.draw(rand.New(rand.NewPCG(5, 6)))
		d, _ := paired(a, b)
		w.delta = d.interval(alpha, 400).Detectable(comparisons)
		_, found := repeat(t, w, paired, 2000, 150, alpha/float64(comparisons))
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
