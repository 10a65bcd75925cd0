package report_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"trmsweep/internal/blob"
	"trmsweep/internal/blob/mem"
	"trmsweep/internal/dataset"
	"trmsweep/internal/experiment"
	"trmsweep/internal/protocol"
	"trmsweep/internal/report"
)

// A report of other seeds takes the place of a sweep's in its folder; where the
// sweep's time went is still known afterwards.
func TestAccountingOutlivesReportsOfOtherRuns(t *testing.T) {
	ctx, b, s := context.Background(), mem.New(time.Now), tnSweep(t)[0]
	r := result(s, []bool{true, false})
	data, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := blob.PutBytes(ctx, b, "runs/"+s.RunName()+"/result.json", data, blob.Any); err != nil {
		t.Fatal(err)
	}
	slot := protocol.Accounting{WallSeconds: 100, Goodput: map[string]float64{"queued": 60, "training": 30, "lost": 10}, Preemptions: 3}
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
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&slot, entries[0].Slot); diff != "" {
		t.Fatalf("the slot's accounting (-want +got):\n%s", diff)
	}
}

// The data block names the generator's profile, without which the data cannot be
// made again, and test puzzles that were trained on.
func TestDataTableDescribesTheDatasets(t *testing.T) {
	ctx, b, specs := context.Background(), mem.New(time.Now), tnSweep(t)
	dir := t.TempDir()
	const puzzle = "..............3.85..1.2.......5.7.....4...1...9.......5......73..2.1........4...9"
	list := filepath.Join(dir, "list.txt")
	if err := os.WriteFile(list, []byte(puzzle+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var entries []report.Entry
	for i, o := range []dataset.Options{
		{Source: "generate:nearly-solved", Count: 2, TestCount: 2, Seed: 1},
		{Source: list, TestSource: list},
	} {
		d, err := dataset.Ensure(ctx, b, o, dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		r := result(specs[i], []bool{true})
		r.DatasetHash = d.Hash
		entries = append(entries, report.Entry{Spec: specs[i], Result: r})
	}
	if _, err := report.Write(ctx, b, "x", entries); err != nil {
		t.Fatal(err)
	}
	page, _, err := blob.ReadAll(ctx, b, "sweeps/x/report.md", 0)
	if err != nil {
		t.Fatal(err)
	}
	wants(t, string(page), "generate:nearly-solved, seed 1,", "1 test puzzle equal to a training puzzle up to symmetry")
}
