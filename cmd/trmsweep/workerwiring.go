package main

import (
	"context"
	"encoding/json"
	"fmt"

	"trmsweep/activities"
	"trmsweep/internal/blob"
	"trmsweep/internal/dataset"
	"trmsweep/internal/experiment"
	"trmsweep/internal/report"
	"trmsweep/internal/train"
)

// ensureDataset makes the dataset of a spec and stores it once.
func (a *app) ensureDataset(ctx context.Context, b blob.Bucket, s experiment.Spec, progress func(any)) (string, bool, error) {
	o := train.DatasetOptions(s)
	defer bucketOpener(&o)()
	_, hash, built, err := dataset.Ensure(ctx, b, o, a.path("cache"), func(p dataset.Progress) { progress(p) })
	return hash, built, err
}

// localDataset is the dataset that the spec's file on this host makes now.
func localDataset(ctx context.Context, s experiment.Spec) (string, error) {
	return dataset.LocalHash(ctx, train.DatasetOptions(s))
}

// writeReport reports on the items of a sweep: their results where the store has them, else why not.
func writeReport(ctx context.Context, b blob.Bucket, in activities.ReportInput) ([]string, error) {
	told, err := report.ReadTold(ctx, b)
	if err != nil {
		return nil, err
	}
	told.Failures, told.Stopped = nil, nil // of earlier sweeps; this one says what failed in it
	for _, it := range in.Items {
		if books, ok := in.Books[it.ID]; ok {
			told.Slots[it.Run] = books
		}
	}
	var entries []report.Entry
	for _, it := range in.Items {
		data, _, err := blob.ReadAll(ctx, b, it.SpecKey, 0)
		if err != nil {
			return nil, fmt.Errorf("read spec of %s: %w", it.ID, err)
		}
		var s experiment.Spec
		if err := json.Unmarshal(data, &s); err != nil {
			return nil, fmt.Errorf("read spec %s: %w", it.SpecKey, err)
		}
		s.Name, s.Phase, s.Reference = it.Experiment, it.Phase, it.Reference // a spec may be shared under two names
		e, err := told.Entry(ctx, b, s)
		if err != nil {
			return nil, err
		}
		if e.Result == nil && in.Failures[it.ID] != "" {
			e.Failure = in.Failures[it.ID]
		}
		e.Stopped = in.Stopped[it.ID]
		entries = append(entries, e)
	}
	w, err := report.Write(ctx, b, in.Sweep, entries)
	return w.Keys, err
}
