// Package report turns the results of a study into tables, statistics and
// plots. It reads result files and knows neither how they were trained nor
// where they are kept.
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

// keptFile holds, beside results.json, the books of runs that earlier reports of
// the same folder told and this one does not: nothing else in the store has them.
const keptFile = "kept_books.json"

// Written names what Write stored.
type Written struct {
	Rows []Row
	Keys []string // below the bucket, report.md first
}

// Write makes the report of a sweep and stores it below sweeps/<id>/: report.md,
// report.html (self-contained), figures as SVG and PNG, results.json. It
// overwrites an earlier one and may be repeated. With an error that comes from
// writing, the result has the rows.
func Write(ctx context.Context, b blob.Bucket, sweepID string, entries []Entry) (Written, error) {
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
	doc := document{Title: "Sweep " + sweepID, Summary: summary(rows), Method: method, Results: resultTables(rows), Figures: figs,
		Details: append([]table{timeTable(rows)}, reproTables(rows, sets)...)}
	html, err := doc.html()
	if err != nil {
		return Written{}, err
	}
	data, err := json.MarshalIndent(rows, "", "  ")
	if err != nil {
		return Written{}, fmt.Errorf("encode results.json: %w", err)
	}
	kept, err := keptBooks(ctx, b, sweepID, rows)
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
	if kept != nil { // before results.json, which may be the last place that has them
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
	return w, err
}

// keptBooks is the new content of keptFile, nil where there are no such books.
func keptBooks(ctx context.Context, b blob.Bucket, sweepID string, rows []Row) ([]byte, error) {
	books := map[string]protocol.Accounting{}
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
			_ = json.Unmarshal(data, &books) // what cannot be read is lost already
		} else if json.Unmarshal(data, &old) == nil {
			for _, r := range old {
				maps.Copy(books, r.Slots)
			}
		}
	}
	for _, r := range rows {
		for run := range r.Slots {
			delete(books, run)
		}
	}
	if len(books) == 0 {
		return nil, nil
	}
	return json.MarshalIndent(books, "", "  ")
}

// Told is what the newest results.json about a run or spec says beside its result.
type Told struct {
	Failures map[string]string              // run -> why
	Stopped  map[string]string              // run -> why it was ended early
	Slots    map[string]protocol.Accounting // run -> books of its slot
}

// ReadTold collects what sweeps reported. Files that cannot be read are left out.
func ReadTold(ctx context.Context, b blob.Bucket) (Told, error) {
	t := Told{map[string]string{}, map[string]string{}, map[string]protocol.Accounting{}}
	told, kept := map[string]time.Time{}, map[string]protocol.Accounting{}
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
			for run, books := range r.Slots {
				if !attr.Updated.Before(told[run]) {
					told[run], t.Slots[run] = attr.Updated, books
				}
			}
			for _, seed := range r.WantedSeeds {
				run := layout.RunName(r.SpecHash, seed)
				if attr.Updated.Before(told["why "+run]) {
					continue
				}
				told["why "+run] = attr.Updated
				t.Failures[run], t.Stopped[run] = r.Failure, r.Stopped
			}
		}
	}
	for run, books := range kept {
		if _, known := t.Slots[run]; !known {
			t.Slots[run] = books
		}
	}
	return t, nil
}

// Entry pairs a spec with the result that the store has, else with why there is
// none. A result that is damaged or another run's is a failure of that run alone.
func (t Told) Entry(ctx context.Context, b blob.Bucket, s experiment.Spec) (Entry, error) {
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
		if books, ok := t.Slots[run]; ok {
			e.Slot = &books
		}
	}
	return e, nil
}

// firstResult is the result that the store has of a spec, under the first of the names that its run may have.
func firstResult(ctx context.Context, b blob.Bucket, s experiment.Spec) (r protocol.RunResult, err error) {
	for _, run := range s.RunNames() {
		r, err = protocol.ReadResult(ctx, b, protocol.Identity{Run: run, SpecHash: s.Hash(), Seed: s.Seed})
		if !errors.Is(err, blob.ErrNotExist) {
			break
		}
	}
	return r, err
}

// ReadEntries pairs specs with the results that the store has, and with the
// failures and books that sweeps reported.
func ReadEntries(ctx context.Context, b blob.Bucket, specs []experiment.Spec) ([]Entry, error) {
	told, err := ReadTold(ctx, b)
	if err != nil {
		return nil, err
	}
	var out []Entry
	for _, s := range specs {
		e, err := told.Entry(ctx, b, s)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}
