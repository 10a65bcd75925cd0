package dataset

import (
	"strings"
	"testing"

	"trmsweep/internal/sudoku"
)

// A negative rating is a faulty row, not one that the minimum silently leaves out.
func TestNegativeRatingIsAFault(t *testing.T) {
	var s sudoku.Solver
	g, ok := s.Solve(new(sudoku.Grid))
	if !ok {
		t.Fatal("no grid")
	}
	var p row
	if msg := parseRow(&p, []string{"s", g.String(), g.String(), "-1"}); !strings.Contains(msg, "-1 is negative") {
		t.Errorf("%q", msg)
	}
	if msg := parseRow(&p, []string{"s", g.String(), g.String(), "0"}); msg != "" {
		t.Error(msg)
	}
}
