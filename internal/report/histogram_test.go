package report

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The axis shows whole values and leaves the bar of a single one a bar.
func TestHistogramAxis(t *testing.T) {
	for _, c := range []struct {
		name                   string
		low, high, left, right int
	}{
		{"all ratings are 0", 0, 0, 0, 9}, {"one number of clues", 30, 30, 26, 35}, {"few ratings", 0, 2, 0, 9},
		{"few numbers of clues", 17, 20, 14, 23},
		{"near zero", 1, 1, 0, 9}, {"ten values", 20, 29, 20, 29}, {"many", 0, 299, 0, 299},
	} {
		t.Run(c.name, func(t *testing.T) {
			if left, right := axisOf(c.low, c.high); left != c.left || right != c.right {
				t.Errorf("%d to %d, want %d to %d", left, right, c.left, c.right)
			}
			p, err := histogram("D1", "x", map[int]int{c.low: 5, c.high: 1}, map[int]int{c.low: 2})
			if err != nil {
				t.Fatal(err)
			}
			if p.plot.X.Min != float64(c.left) || p.plot.X.Max != float64(c.right+1) {
				t.Errorf("axis from %g to %g", p.plot.X.Min, p.plot.X.Max)
			}
		})
	}
}

// Bars stand right of their value, none of them left of 0, and none touches the frame.
func TestBarsStandInsideTheFrame(t *testing.T) {
	p, err := histogram("D1", "rating", map[int]int{0: 3}, map[int]int{0: 2})
	if err != nil {
		t.Fatal(err)
	}
	x, y := p.plot.X, p.plot.Y
	if x.Min != 0 || x.Max != 10 || y.Min != 0 || y.Max <= 100 {
		t.Errorf("the frame is %g to %g and %g to %g; want 0 to 10, and 0 to more than the bars' 100", x.Min, x.Max, y.Min, y.Max)
	}
	for i := range 2 {
		from, to := barOf(0, 1, i)
		if from < 0 || to > 1 {
			t.Errorf("bar %d stands from %g to %g, want between 0 and 1", i, from, to)
		}
	}
}

// The axes of T x n have the values as run, and those that the experiments are named after where they are others.
func TestDepthsAreNamedAsRunAndAsNamed(t *testing.T) {
	got := depths("n", []int{1, 2, 6}, map[int]int{1: 2, 2: 4, 6: 6})
	if diff := cmp.Diff(named{"1 (named n2)", "2 (named n4)", "6"}, got); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
}
