package dataset

import (
	"strings"
	"testing"

	"trmsweep/internal/sudoku"
)

// A rating out of range is a faulty row, not one that the minimum silently leaves out or that sums overflow on.
func TestRatingsOutOfRangeAreFaults(t *testing.T) {
	var s sudoku.Solver
	g, ok := s.Solve(new(sudoku.Grid))
	if !ok {
		t.Fatal("no grid")
	}
	cols, err := parseHeader([]byte("source,question,answer,rating"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ rating, want string }{
		{"0", ""}, {"7", ""}, {" 7  ", ""}, {"2147483647", ""},
		{"-1", "rating is not in 0 to 2147483647"}, {"2147483648", "rating is not in 0"}, {"4611686018427387904", "rating is not in 0"},
		{"92233720368547758080", "rating is not in 0"}, {"x", "rating is no whole number"}, {"1.5", "rating is no whole number"},
		{"", "rating is no whole number"},
	} {
		var p row
		msg := reader{cols: cols}.parseRow(&p, [][]byte{[]byte("s"), []byte(g.String()), []byte(g.String()), []byte(c.rating)})
		refused := msg != ""
		if refused != (c.want != "") || !strings.Contains(msg, c.want) {
			t.Errorf("rating %q: %q, want %q", c.rating, msg, c.want)
		}
	}
}
