package train

import (
	"context"
	"errors"
	"fmt"

	"trmsweep/internal/blob"
	"trmsweep/internal/checkpoint"
	"trmsweep/internal/dataset"
	"trmsweep/internal/report"
)

func newestGood(h checkpoint.Head) (checkpoint.Entry, bool) {
	for i := len(h.Entries) - 1; i >= 0; i-- {
		if h.Entries[i].Bad == "" {
			return h.Entries[i], true
		}
	}
	return checkpoint.Entry{}, false
}

// peek reads the newest manifest without taking the run from whoever has it; nil
// where there is none, or none that can be read (acquiring and restoring say why).
// The run of another spec is left alone.
func (r *run) peek(ctx context.Context) (*checkpoint.Manifest, error) {
	head, err := checkpoint.ReadHead(ctx, r.runs)
	if errors.Is(err, blob.ErrTransient) || ctx.Err() != nil {
		return nil, fmt.Errorf("look at run %s: %w", r.o.Run, err)
	}
	e, ok := newestGood(head)
	if err != nil || !ok {
		return nil, nil
	}
	m, err := checkpoint.ReadManifest(ctx, r.runs, e)
	if errors.Is(err, blob.ErrTransient) || ctx.Err() != nil {
		return nil, fmt.Errorf("look at run %s: %w", r.o.Run, err)
	}
	if err != nil {
		return nil, nil
	}
	data := m.Meta.DatasetHash
	if r.o.DataDir != "" {
		if data, err = dataset.HashDir(r.o.DataDir); err != nil {
			return nil, err
		}
	}
	return &m, r.matches(m.Meta, data)
}

// matches compares a run in the store with what is asked for.
func (r *run) matches(m checkpoint.Meta, data string) error {
	if m.ConfigHash != r.spec.Hash() || m.Seed != r.spec.Seed {
		return fmt.Errorf("%w: run %s was started with spec %.12s, seed %d, and is now asked for spec %.12s, seed %d; choose another --run",
			ErrMismatch, r.o.Run, m.ConfigHash, m.Seed, r.spec.Hash(), r.spec.Seed)
	}
	if m.DatasetHash != data {
		return fmt.Errorf("%w: run %s was started on dataset %.12s, and is now given %.12s; choose another --run or the old data",
			ErrMismatch, r.o.Run, m.DatasetHash, data)
	}
	return nil
}

// complete is the result of a run that has its result.json already: nothing is acquired, loaded or computed.
func (r *run) complete(ctx context.Context, m *checkpoint.Manifest) (Result, bool, error) {
	if m == nil || !m.Meta.Final || r.o.Force {
		return r.result(), false, nil
	}
	text, _, err := blob.ReadAll(ctx, r.runs, report.ResultFile, 0)
	if errors.Is(err, blob.ErrNotExist) || errors.Is(err, blob.ErrCorrupt) {
		return r.result(), false, nil
	}
	if err != nil {
		return r.result(), false, fmt.Errorf("look for the result of run %s: %w", r.o.Run, err)
	}
	old, err := report.DecodeResult(text)
	if err != nil {
		return r.result(), false, fmt.Errorf("result of run %s: %w", r.o.Run, err)
	}
	if r.o.DataDir == "" { // a file may have changed since
		data, err := dataset.LocalHash(ctx, DatasetOptions(r.spec))
		if err != nil {
			return r.result(), false, fmt.Errorf("dataset of %s: %w", r.spec.Name, err)
		}
		if data != "" {
			if err := r.matches(m.Meta, data); err != nil {
				return r.result(), false, err
			}
		}
	}
	r.step, r.restoredFrom, r.meta = m.Step, m.Step, m.Meta
	if r.ledger, err = ParseLedger(m.Meta.LedgerSHA256); err != nil {
		return r.result(), false, err
	}
	r.say.progress(func(e *Event) {
		e.Step, e.Total, e.CommittedStep, e.BestExactAccuracy = r.step, r.total, r.step, r.meta.BestExactAccuracy
	})
	res := r.result()
	res.Backend, res.StateSHA256, res.Result = old.Backend, m.StateSHA256, "runs/"+r.o.Run+"/"+report.ResultFile
	return res, true, nil
}
