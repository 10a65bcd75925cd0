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
	rows, err := Rows(entries)
	if err != nil {
		return Written{}, err
	}
	figs, err := figures(rows)
	if err != nil {
		return Written{}, err
	}
	ts := tables(rows)
	title := "Sweep " + sweepID
	lines := summary(rows)
	html, err := htmlPage(title, lines, ts, figs)
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
	put("report.md", []byte(markdown(title, lines, ts, figs)))
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

// Failures are the experiments that the newest results.json about them calls
// failed: spec hash -> why. Files of sweeps that cannot be read are left out.
func Failures(ctx context.Context, b blob.Bucket) (map[string]string, error) {
	why := map[string]string{}
	told := map[string]time.Time{}
	for attr, err := range b.List(ctx, "sweeps/") {
		if err != nil {
			return nil, fmt.Errorf("list sweeps: %w", err)
		}
		if path.Base(attr.Key) != resultsFile {
			continue
		}
		data, _, err := blob.ReadAll(ctx, b, attr.Key, 0)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", attr.Key, err)
		}
		var rows []Row
		if json.Unmarshal(data, &rows) != nil {
			continue
		}
		for _, r := range rows {
			if attr.Updated.Before(told[r.SpecHash]) {
				continue
			}
			told[r.SpecHash] = attr.Updated
			if r.Failure != "" {
				why[r.SpecHash] = r.Failure
			} else {
				delete(why, r.SpecHash)
			}
		}
	}
	return why, nil
}

// ReadEntries pairs specs with the results that the store has, and with the
// failures that sweeps reported.
func ReadEntries(ctx context.Context, b blob.Bucket, specs []experiment.Spec) ([]Entry, error) {
	why, err := Failures(ctx, b)
	if err != nil {
		return nil, err
	}
	var out []Entry
	for _, s := range specs {
		e := Entry{Spec: s, Failure: why[s.Hash()]}
		r, err := ReadResult(ctx, b, s.RunName())
		switch {
		case err == nil:
			e.Result, e.Failure = &r, ""
		case !errors.Is(err, blob.ErrNotExist):
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}
