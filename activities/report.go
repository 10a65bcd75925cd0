package activities

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"strings"

	"go.temporal.io/sdk/temporal"

	"trmsweep/internal/blob"
	"trmsweep/internal/experiment"
	"trmsweep/internal/report"
)

// Report writes the report over the runs that are finished. A panic would be
// the same at every try, and the sweep would wait for all of them.
func (a *Activities) Report(ctx context.Context, in ReportInput) (res ReportResult, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = temporal.NewNonRetryableApplicationError(fmt.Sprintf("panic: %v\n%s", p, debug.Stack()), ErrFinal, nil)
		}
	}()
	ctx, _, stop := a.withHeartbeats(ctx)
	defer stop()
	faults := SweepFaults(in.Sweep)
	for _, it := range in.Items {
		faults = append(faults, ItemFaults(it)...)
	}
	if len(faults) > 0 {
		return ReportResult{}, temporal.NewNonRetryableApplicationError(strings.Join(faults, "; "), ErrConfig, nil)
	}
	keys, err := writeReport(ctx, a.Bucket, in)
	return ReportResult{Keys: keys}, err
}

// writeReport reports on the items of a sweep: their results if the store has them, else why not.
func writeReport(ctx context.Context, b blob.Bucket, in ReportInput) ([]string, error) {
	reported, err := report.ReadReported(ctx, b)
	if err != nil {
		return nil, err
	}
	reported.Failures, reported.Stopped = nil, nil // of earlier sweeps; this one says what failed in it
	for _, it := range in.Items {
		if slot, ok := in.Accounting[it.ID]; ok {
			reported.Slots[it.Run] = slot
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
		e, err := reported.Entry(ctx, b, s)
		if err != nil {
			return nil, err
		}
		if e.Result == nil && in.Failures[it.ID] != "" {
			e.Failure = in.Failures[it.ID]
		}
		e.Stopped = in.Stopped[it.ID]
		entries = append(entries, e)
	}
	w, err := report.Write(ctx, b, in.Sweep, entries, stateOf(in)...)
	return w.Keys, err
}

// stateOf says in the report's first lines if not all has been tried that the sweep was to train.
func stateOf(in ReportInput) []string {
	switch {
	case in.Ended != "":
		return []string{"The sweep " + in.Ended + "."}
	case !in.Final:
		return []string{"The sweep was still running when this report was written; its next one takes the place of this."}
	}
	return nil
}
