package report_test

import (
	"context"
	"testing"
	"time"

	"trmsweep/internal/blob"
	"trmsweep/internal/blob/mem"
	"trmsweep/internal/experiment"
	"trmsweep/internal/report"
)

// A report of other seeds takes the place of a sweep's in its folder; where the
// sweep's time went is still known afterwards.
func TestBooksOutliveReportsOfOtherRuns(t *testing.T) {
	ctx, b, s := context.Background(), mem.New(time.Now), tnSweep(t)[0]
	r := result(s, []bool{true, false})
	data, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := blob.PutBytes(ctx, b, "runs/"+s.RunName()+"/result.json", data, blob.Any); err != nil {
		t.Fatal(err)
	}
	slot := report.Books{WallSeconds: 100, Ledger: map[string]float64{"queued": 60, "training": 30, "lost": 10}, Preemptions: 3}
	if _, err := report.Write(ctx, b, "night", []report.Entry{{Spec: s, Result: r, Slot: &slot}}); err != nil {
		t.Fatal(err)
	}
	other := s
	other.Seed = 7
	for range 2 { // the second finds the books in no results.json any more
		if _, err := report.Write(ctx, b, "night", []report.Entry{{Spec: other}}); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := report.ReadEntries(ctx, b, []experiment.Spec{s})
	if err != nil || entries[0].Slot == nil || entries[0].Slot.WallSeconds != 100 || entries[0].Slot.Ledger["lost"] != 10 {
		t.Fatalf("%+v, %v", entries, err)
	}
}
