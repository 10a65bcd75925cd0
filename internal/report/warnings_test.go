package report_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"trmsweep/internal/blob/mem"
	"trmsweep/internal/experiment"
	"trmsweep/internal/protocol"
	"trmsweep/internal/report"
)

// Pairing is said only where every pair of seeds saw the same puzzles.
func TestOneSeedOnOtherPuzzlesIsUnpaired(t *testing.T) {
	a, ref := tnSweep(t)[0], tnSweep(t)[3]
	var entries []report.Entry
	for seed := range int64(2) {
		a.Seed, ref.Seed = seed, seed
		x := result(a, []bool{true, false, true})
		if seed == 1 {
			x.DatasetHash = "other"
		}
		entries = append(entries, report.Entry{Spec: a, Result: x}, report.Entry{Spec: ref, Result: result(ref, []bool{true, false, false})})
	}
	w, _ := write(t, entries)
	if r := row(t, w, a.Name); r.Paired || r.Delta == nil {
		t.Errorf("paired %v: %v", r.Paired, r.Delta)
	}
}

// A best accuracy on a part of the puzzles, and seeds that were best at other
// steps, are not told as more than that.
func TestBestAccuracyNamesItsPuzzlesAndStep(t *testing.T) {
	s := tnSweep(t)[3]
	first := result(s, []bool{true, false, false, false})
	first.Best = protocol.Eval{Step: 60, ExactAccuracy: 1, Puzzles: 2}
	first.BestCorrect = protocol.Bitmap([]bool{true, true})
	two := s
	two.Seed = 7
	second := result(two, []bool{true, true, true, false})
	_, files := write(t, []report.Entry{{Spec: s, Result: first}, {Spec: two, Result: second}})
	wants(t, files["report.md"], "| 87.50 of 2 (", fmt.Sprintf("steps 60 to %d", s.TotalSteps()),
		"the best accuracy of seed 42 is over 2 test puzzles, the final one over 4")
}

// A backslash before a bar does not open another cell.
func TestBackslashStaysInItsCell(t *testing.T) {
	_, files := write(t, []report.Entry{{Spec: tnSweep(t)[0], Failure: `C:\|x`}})
	if !strings.Contains(files["report.md"], `C:\\\|x`) {
		t.Errorf("%s", files["report.md"])
	}
}

// A seed that nobody has tried did not fail as another one did.
func TestFailureOfOneSeedLeavesTheOthers(t *testing.T) {
	ctx, b, s := context.Background(), mem.New(time.Now), tnSweep(t)[0]
	if _, err := report.Write(ctx, b, "x", []report.Entry{{Spec: s, Failure: "out of memory"}}); err != nil {
		t.Fatal(err)
	}
	other := s
	other.Seed++
	entries, err := report.ReadEntries(ctx, b, []experiment.Spec{s, other})
	if err != nil || entries[0].Failure != "out of memory" || entries[1].Failure != "" {
		t.Errorf("%q, %q, %v", entries[0].Failure, entries[1].Failure, err)
	}
}

// A name longer than the room beside a drawing does not push the drawing away.
func TestLongNamesLeaveTheDrawings(t *testing.T) {
	s := tnSweep(t)[3]
	s.Name = "my_experiment_" + strings.Repeat("with_a_long_name_", 6) + "end"
	s.Reference = s.Name
	_, files := write(t, []report.Entry{{Spec: s, Result: result(s, []bool{true, false})}})
	for _, f := range []string{"ledger.svg", "loss.svg", "compute.svg"} {
		if strings.Contains(files[f], s.Name) || !strings.Contains(files[f], "my_experiment_w…") {
			t.Errorf("%s has the whole name, or none", f)
		}
	}
}

// What curves and the paper's column cannot say is said beside them.
func TestReportStatesTheLimitsOfComparisons(t *testing.T) {
	s := tnSweep(t)[3]
	_, files := write(t, []report.Entry{{Spec: s, Result: result(s, []bool{true, false})}})
	wants(t, files["report.md"], "Large marks are of 2 test puzzles", "cannot be held against it")
	if strings.Contains(files["report.md"], "with EMA weights") { // e2_1_ema_off has none
		t.Error("calls every evaluation one with EMA weights")
	}
}
