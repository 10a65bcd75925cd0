// Package report turns the results of a study into tables, statistics and plots.
//
//	specs + results (runs/<run>/result.json)   ReadEntries
//	        |                                  one Entry per experiment and seed
//	rows                                       makeRows: means over seeds, differences from the reference
//	        |
//	sweeps/<id>/ report.md, report.html,       Write
//	        results.json, figures
//
// A row is compared with its reference by a bootstrap over the test puzzles that both were
// evaluated on (stats.go, resample.go). The intervals of a report hold together, by Bonferroni's
// method, and a difference is called better or worse exactly if its interval leaves out 0.
// The package neither trains nor starts anything: it reads and writes through a blob.Bucket.
package report

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"time"

	"trmsweep/internal/blob"
	"trmsweep/internal/experiment"
	"trmsweep/internal/layout"
	"trmsweep/internal/protocol"
)

const resultsFile = "results.json"

// keptFile lies beside results.json. It holds the accounting of runs that earlier reports
// in the same folder contained and the newest one does not: it is their only copy.
const keptFile = "kept_books.json"

// Written describes what Write stored.
type Written struct {
	Rows []Row
	Keys []string // keys in the bucket; report.md is the first
}

// Write makes the report of a sweep and stores it below sweeps/<id>/: report.md,
// report.html (self-contained), figures as SVG and PNG, results.json. It
// overwrites an earlier report and may be repeated. If only storing fails, the
// result still has the rows. The report begins with the sentences of first.
func Write(ctx context.Context, b blob.Bucket, sweepID string, entries []Entry, first ...string) (Written, error) {
	var results []protocol.RunResult
	for _, e := range entries {
		if e.Result != nil {
			results = append(results, *e.Result)
		}
	}
	sets, err := ReadDatasets(ctx, b, results...)
	if err != nil {
		return Written{}, err
	}
	rows := makeRows(entries, sets)
	figs, err := figures(rows, sets)
	if err != nil {
		return Written{}, err
	}
	doc := document{
		Title:   "Sweep " + sweepID,
		Summary: append(slices.Clone(first), summary(rows)...),
		Method:  method,
		Results: append(resultTables(rows), setupTable(rows)),
		Figures: figs,
		Details: append([]table{timeTable(rows)}, reproTables(rows, sets)...),
	}
	html, err := doc.html()
	if err != nil {
		return Written{}, err
	}
	data, err := json.MarshalIndent(rows, "", "  ")
	if err != nil {
		return Written{}, fmt.Errorf("encode results.json: %w", err)
	}
	kept, err := keptAccounting(ctx, b, sweepID, rows)
	if err != nil {
		return Written{}, err
	}
	w := Written{Rows: rows}
	put := func(name string, data []byte) {
		if err != nil {
			return
		}
		key := layout.SweepKey(sweepID, name)
		if _, perr := blob.PutBytes(ctx, b, key, data, blob.Any); perr != nil {
			err = fmt.Errorf("store %s: %w", key, perr)
			return
		}
		w.Keys = append(w.Keys, key)
	}
	if kept != nil { // stored before results.json is overwritten, which may hold the only copy
		if _, err := blob.PutBytes(ctx, b, layout.SweepKey(sweepID, keptFile), kept, blob.Any); err != nil {
			return w, fmt.Errorf("store %s of %s: %w", keptFile, sweepID, err)
		}
	}
	put("report.md", []byte(doc.markdown()))
	put("report.html", []byte(html))
	put(resultsFile, append(data, '\n'))
	for _, f := range figs {
		put(f.Name+".svg", f.SVG)
		put(f.Name+".png", f.PNG)
	}
	if err != nil {
		return w, err
	}
	return w, w.dropOldFigures(ctx, b, sweepID)
}

// dropOldFigures deletes figures of an earlier report that this one does not have.
func (w Written) dropOldFigures(ctx context.Context, b blob.Bucket, sweepID string) error {
	var old []string
	folder := layout.SweepKey(sweepID, "")
	for attr, err := range b.List(ctx, folder) {
		if err != nil {
			return fmt.Errorf("list the report of %s: %w", sweepID, err)
		}
		drawing := slices.Contains([]string{".svg", ".png"}, path.Ext(attr.Key))
		ofThisSweep := path.Dir(attr.Key)+"/" == folder
		if drawing && ofThisSweep && !slices.Contains(w.Keys, attr.Key) {
			old = append(old, attr.Key)
		}
	}
	for _, key := range old {
		if err := b.Delete(ctx, key, blob.Any); err != nil && !errors.Is(err, blob.ErrNotExist) {
			return fmt.Errorf("delete %s: %w", key, err)
		}
	}
	return nil
}

// keptAccounting returns the new content of keptFile, nil if no run needs it.
func keptAccounting(ctx context.Context, b blob.Bucket, sweepID string, rows []Row) ([]byte, error) {
	accounting := map[string]protocol.Accounting{}
	for _, name := range []string{keptFile, resultsFile} {
		key := layout.SweepKey(sweepID, name)
		data, _, err := blob.ReadAll(ctx, b, key, 0)
		if errors.Is(err, blob.ErrNotExist) || errors.Is(err, blob.ErrCorrupt) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", key, err)
		}
		var old []Row
		if name == keptFile {
			_ = json.Unmarshal(data, &accounting) // a damaged file cannot be recovered
		} else if json.Unmarshal(data, &old) == nil {
			for _, r := range old {
				maps.Copy(accounting, r.Slots)
			}
		}
	}
	for _, r := range rows {
		for run := range r.Slots {
			delete(accounting, run)
		}
	}
	if len(accounting) == 0 {
		return nil, nil
	}
	return json.MarshalIndent(accounting, "", "  ")
}

// Reported is what the newest results.json about a run says beside its result. The keys are run names.
type Reported struct {
	Failures map[string]string              // reason why there is no result
	Stopped  map[string]string              // reason why the run was ended early
	Slots    map[string]protocol.Accounting // accounting of the run's slot
}

// ReadReported collects the reports of all sweeps. It leaves out files that cannot be parsed.
func ReadReported(ctx context.Context, b blob.Bucket) (Reported, error) {
	t := Reported{map[string]string{}, map[string]string{}, map[string]protocol.Accounting{}}
	slotTime := map[string]time.Time{}   // run -> time of the report that Slots is from
	reasonTime := map[string]time.Time{} // run -> time of the report that Failures and Stopped are from
	kept := map[string]protocol.Accounting{}
	for attr, err := range b.List(ctx, layout.Sweeps) {
		if err != nil {
			return t, fmt.Errorf("list sweeps: %w", err)
		}
		name := path.Base(attr.Key)
		if name != resultsFile && name != keptFile {
			continue
		}
		data, _, err := blob.ReadAll(ctx, b, attr.Key, 0)
		if err != nil {
			return t, fmt.Errorf("read %s: %w", attr.Key, err)
		}
		if name == keptFile {
			_ = json.Unmarshal(data, &kept)
			continue
		}
		var rows []Row
		if json.Unmarshal(data, &rows) != nil {
			continue
		}
		for _, r := range rows {
			for run, slot := range r.Slots {
				if !attr.Updated.Before(slotTime[run]) {
					slotTime[run] = attr.Updated
					t.Slots[run] = slot
				}
			}
			for _, seed := range r.WantedSeeds {
				run := layout.RunName(r.SpecHash, seed)
				if attr.Updated.Before(reasonTime[run]) {
					continue
				}
				reasonTime[run] = attr.Updated
				t.Failures[run] = r.Failure
				t.Stopped[run] = r.Stopped
			}
		}
	}
	for run, accounting := range kept {
		if _, known := t.Slots[run]; !known {
			t.Slots[run] = accounting
		}
	}
	return t, nil
}

// Entry pairs a spec with its result in the store or, without a result, with the reason.
// A result that is damaged or belongs to another run is a failure of this run only.
func (t Reported) Entry(ctx context.Context, b blob.Bucket, s experiment.Spec) (Entry, error) {
	e := Entry{Spec: s}
	r, err := firstResult(ctx, b, s)
	switch {
	case err == nil:
		e.Result = &r
	case errors.Is(err, blob.ErrNotExist):
		for _, run := range slices.Backward(s.RunNames()) {
			e.Failure = cmp.Or(t.Failures[run], e.Failure)
			e.Stopped = cmp.Or(t.Stopped[run], e.Stopped)
		}
	case errors.Is(err, protocol.ErrResult):
		e.Failure = err.Error()
	default:
		return e, err
	}
	for _, run := range slices.Backward(s.RunNames()) {
		if accounting, ok := t.Slots[run]; ok {
			e.Slot = &accounting
		}
	}
	return e, nil
}

// firstResult reads the result of a spec under the first of its possible run names that has one.
func firstResult(ctx context.Context, b blob.Bucket, s experiment.Spec) (r protocol.RunResult, err error) {
	for _, run := range s.RunNames() {
		r, err = protocol.ReadResult(ctx, b, protocol.Identity{Run: run, SpecHash: s.Hash(), Seed: s.Seed})
		if !errors.Is(err, blob.ErrNotExist) {
			break
		}
	}
	return r, err
}

// ReadEntries pairs specs with their results in the store, and with the failures and
// the accounting that sweeps reported.
func ReadEntries(ctx context.Context, b blob.Bucket, specs []experiment.Spec) ([]Entry, error) {
	reported, err := ReadReported(ctx, b)
	if err != nil {
		return nil, err
	}
	var out []Entry
	for _, s := range specs {
		e, err := reported.Entry(ctx, b, s)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}
