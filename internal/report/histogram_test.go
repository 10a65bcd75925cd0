package report

import "testing"

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
