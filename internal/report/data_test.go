package report_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"trmsweep/internal/blob"
	"trmsweep/internal/blob/mem"
	"trmsweep/internal/dataset"
	"trmsweep/internal/protocol"
	"trmsweep/internal/report"
)

// Two datasets that differ in their training puzzles only, as more_data's and
// its reference's do, are judged on the same test puzzles; a third is not.
func TestDatasetsOfResults(t *testing.T) {
	ctx, b, specs := context.Background(), mem.New(time.Now), tnSweep(t)
	solved := []bool{true, false, true}
	csv := t.TempDir()
	var results []protocol.RunResult
	for i, o := range []dataset.Options{
		{Source: "generate", Count: 4, TestCount: 3, Seed: 1},
		{Source: "generate", Count: 4, TestCount: 3, Seed: 1, NumAug: 2},
		{Source: "generate", Count: 4, TestCount: 3, Seed: 2},
	} {
		d, err := dataset.Ensure(ctx, b, o, csv, nil)
		if err != nil {
			t.Fatal(err)
		}
		r := result(specs[i], solved)
		r.DatasetHash = d.Hash
		results = append(results, *r)
	}
	sets, err := report.ReadDatasets(ctx, b, results...)
	if err != nil || len(sets) != 3 {
		t.Fatalf("%d datasets, %v", len(sets), err)
	}
	if c, err := report.Compare(results[0], results[1], sets); err != nil || c.P == nil {
		t.Errorf("the same test puzzles: %+v, %v", c, err)
	}
	if _, err := report.Compare(results[0], results[2], sets); !errors.Is(err, report.ErrTestSets) {
		t.Errorf("other test puzzles: %v", err)
	}
	fewer := results[1]
	fewer.Final.Puzzles = 2
	if _, err := report.Compare(results[0], fewer, sets); !errors.Is(err, report.ErrTestSets) {
		t.Errorf("fewer test puzzles: %v", err)
	}
	w, err := report.Write(ctx, b, "sets", []report.Entry{{Spec: specs[0], Result: &results[0]}, {Spec: specs[1], Result: &results[1]}})
	if err != nil || !slices.Contains(w.Keys, "sweeps/sets/dataset.svg") {
		t.Fatalf("%v, %v", w.Keys, err)
	}
	md, _, err := blob.ReadAll(ctx, b, "sweeps/sets/report.md", 0)
	if err != nil {
		t.Fatal(err)
	}
	wants(t, string(md), "generate, seed 1, 4 training puzzles x 2 augmentations, 3 test puzzles")
}
