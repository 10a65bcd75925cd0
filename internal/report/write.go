package report

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"time"

	"trmsweep/internal/blob"
	"trmsweep/internal/experiment"
)

const resultsFile = "results.json"

// Written names what Write stored.
type Written struct {
	Rows []Row
	Keys []string // below the bucket, report.md first
}

// Write makes the report of a sweep and stores it below sweeps/<id>/: report.md,
// report.html (self-contained), figures as SVG and PNG, results.json. It
// overwrites an earlier one and may be repeated.
func Write(ctx context.Context, b blob.Bucket, sweepID string, entries []Entry) (Written, error) {
	var results []RunResult
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
	w := Written{Rows: rows}
	put := func(name string, data []byte) {
		if err != nil {
			return
		}
		key := path.Join("sweeps", sweepID, name)
		if _, perr := blob.PutBytes(ctx, b, key, data, blob.Any); perr != nil {
			err = fmt.Errorf("store %s: %w", key, perr)
			return
		}
		w.Keys = append(w.Keys, key)
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

// ReadResult reads runs/<run>/result.json; blob.ErrNotExist where the run is not finished.
func ReadResult(ctx context.Context, b blob.Bucket, run string) (RunResult, error) {
	key := path.Join("runs", run, ResultFile)
	data, _, err := blob.ReadAll(ctx, b, key, 0)
	if err != nil {
		return RunResult{}, fmt.Errorf("read result %s: %w", key, err)
	}
	r, err := DecodeResult(data)
	if err != nil {
		return RunResult{}, fmt.Errorf("read result %s: %w", key, err)
	}
	return r, nil
}

// Told is what the newest results.json about a run or spec says beside its result.
type Told struct {
	Failures map[string]string // spec hash -> why
	Stopped  map[string]string // spec hash -> why it was ended early
	Slots    map[string]Books  // run -> books of its slot
}

// ReadTold collects what sweeps reported. Files that cannot be read are left out.
func ReadTold(ctx context.Context, b blob.Bucket) (Told, error) {
	t := Told{map[string]string{}, map[string]string{}, map[string]Books{}}
	told := map[string]time.Time{}
	for attr, err := range b.List(ctx, "sweeps/") {
		if err != nil {
			return t, fmt.Errorf("list sweeps: %w", err)
		}
		if path.Base(attr.Key) != resultsFile {
			continue
		}
		data, _, err := blob.ReadAll(ctx, b, attr.Key, 0)
		if err != nil {
			return t, fmt.Errorf("read %s: %w", attr.Key, err)
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
			if attr.Updated.Before(told[r.SpecHash]) {
				continue
			}
			told[r.SpecHash] = attr.Updated
			t.Failures[r.SpecHash], t.Stopped[r.SpecHash] = r.Failure, r.Stopped
		}
	}
	return t, nil
}

// Entry pairs a spec with the result that the store has, else with why there is
// none. A result that cannot be decoded is a failure of that run alone.
func (t Told) Entry(ctx context.Context, b blob.Bucket, s experiment.Spec) (Entry, error) {
	e := Entry{Spec: s}
	r, err := ReadResult(ctx, b, s.RunName())
	switch {
	case err == nil:
		e.Result = &r
	case errors.Is(err, blob.ErrNotExist):
		e.Failure, e.Stopped = t.Failures[s.Hash()], t.Stopped[s.Hash()]
	case errors.Is(err, ErrResult):
		e.Failure = err.Error()
	default:
		return e, err
	}
	if books, ok := t.Slots[s.RunName()]; ok {
		e.Slot = &books
	}
	return e, nil
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
