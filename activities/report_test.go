package activities

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"trmsweep/internal/blob"
	"trmsweep/internal/experiment"
	"trmsweep/internal/layout"
	"trmsweep/internal/protocol"
	"trmsweep/internal/report"
)

// finish stores a result of an item: evaluations of 2 of the 4 puzzles have chosen step 3, the final one is of all.
func finish(t *testing.T, a *Activities, it Item, s experiment.Spec) protocol.RunResult {
	t.Helper()
	full := protocol.Eval{Step: 3, ExactAccuracy: 0.75, Puzzles: 4}
	r := protocol.RunResult{
		Run: it.Run, Spec: s, SpecHash: it.SpecHash, Seed: it.Seed, Steps: it.TotalSteps,
		Evals:        []protocol.Eval{{Step: 3, ExactAccuracy: 1, Puzzles: 2}},
		Best:         full,
		BestFull:     &full,
		BestCorrect:  protocol.Bitmap([]bool{true, true, true, false}),
		Final:        protocol.Eval{Step: it.TotalSteps, ExactAccuracy: 0.5, Puzzles: 4},
		FinalCorrect: protocol.Bitmap([]bool{true, true, false, false}),
		Curve:        [][2]float64{{1, 2}, {9, 1}},
	}
	data, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := blob.PutBytes(t.Context(), a.Bucket, layout.RunKey(it.Run, layout.ResultFile), data, blob.Any); err != nil {
		t.Fatal(err)
	}
	return r
}

// What a sweep's row shows of a run is what the report has in its table.
func TestStatusAndReportShowTheSameFigures(t *testing.T) {
	a, p := planned(t, "TNSweep")
	it := p.Items[0]
	s, err := a.readSpec(t.Context(), it.SpecKey)
	if err != nil {
		t.Fatal(err)
	}
	r := finish(t, a, it, s)
	st, err := a.Status(t.Context(), it)
	if err != nil || !st.Finished {
		t.Fatalf("%+v, %v", st, err)
	}
	w, err := report.Write(t.Context(), a.Bucket, "x", []report.Entry{{Spec: s, Result: &r}})
	if err != nil {
		t.Fatal(err)
	}
	type figures struct {
		Best, Final float64
		Step        int64
	}
	row := w.Rows[0]
	status := figures{st.Outcome.BestExactAccuracy, st.Outcome.FinalExactAccuracy, st.Outcome.BestStep}
	reported := figures{*row.BestExactAccuracy, *row.FinalExact, row.BestStep}
	want := figures{0.75, 0.5, 3}
	if diff := cmp.Diff(want, status); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, reported); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}

// The first lines say whether the sweep has come to its end.
func TestReportSaysHowTheSweepEnded(t *testing.T) {
	for _, c := range []struct {
		name string
		in   ReportInput
		want string
	}{
		{"cancelled", ReportInput{Final: true, Ended: "was cancelled"}, "# Sweep night\n\n- The sweep was cancelled.\n"},
		{"after a phase", ReportInput{}, "# Sweep night\n\n- The sweep was still running"},
		{"to its end", ReportInput{Final: true}, "# Sweep night\n\n- 1 experiment (profile smoke): 1 missing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, p := planned(t, "TNSweep")
			c.in.Sweep, c.in.Items = "night", p.Items[:1]
			if _, err := a.Report(t.Context(), c.in); err != nil {
				t.Fatal(err)
			}
			text, _, err := blob.ReadAll(t.Context(), a.Bucket, layout.SweepKey("night", "report.md"), 0)
			if err != nil || !strings.HasPrefix(string(text), c.want) {
				t.Errorf("the report begins %.200q, %v; want %q", text, err, c.want)
			}
		})
	}
}
