package train

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"trmsweep/internal/blob"
	"trmsweep/internal/checkpoint"
	"trmsweep/internal/dataset"
	"trmsweep/internal/experiment"
	"trmsweep/internal/protocol"
)

func newestGood(h checkpoint.Head) (checkpoint.Entry, bool) {
	for i := len(h.Entries) - 1; i >= 0; i-- {
		if h.Entries[i].Bad == "" {
			return h.Entries[i], true
		}
	}
	return checkpoint.Entry{}, false
}

// peek reads the newest manifest that can be read, without taking the run from whoever
// has it; nil if there is none. The run of another spec, and an unfinished import, are left alone.
func (r *run) peek(ctx context.Context) (*checkpoint.Manifest, error) {
	m, e, err := newestManifest(ctx, r.runs, r.o.Run)
	if err != nil {
		return nil, fmt.Errorf("look at run %s: %w", r.o.Run, err)
	}
	if m == nil {
		return nil, nil
	}
	data := m.Meta.DatasetHash
	if r.o.DataDir != "" {
		if data, err = dataset.HashDir(r.o.DataDir); err != nil {
			return nil, err
		}
	}
	r.newest = e
	return m, r.matches(ctx, m.Meta, data)
}

// matches compares a run in the store with what is asked for.
func (r *run) matches(ctx context.Context, m checkpoint.Meta, data string) error {
	if !r.spec.HasHash(m.ConfigHash) || m.Seed != r.spec.Seed {
		return fmt.Errorf("%w: run %s was started with %s; choose another --run, or ask for the same",
			ErrMismatch, r.o.Run, r.otherSettings(ctx, m))
	}
	same, err := dataset.Same(ctx, r.bucket, m.DatasetHash, data)
	if err != nil {
		return err
	}
	if !same {
		return fmt.Errorf("%w: run %s was started on dataset %.12s, and is now given %.12s; choose another --run or the old data",
			ErrMismatch, r.o.Run, m.DatasetHash, data)
	}
	return nil
}

// otherSettings names what a run was started with and what is asked for: the keys that
// differ, or the hashes if the store has lost the run's spec.
func (r *run) otherSettings(ctx context.Context, m checkpoint.Meta) string {
	var keys []string
	there, err := protocol.ReadSpec(ctx, r.runs)
	if err == nil && there.HasHash(m.ConfigHash) && there.Seed == m.Seed {
		for _, d := range experiment.Differences(there, r.spec) {
			if experiment.Hashed(d.Key) || d.Key == "seed" {
				keys = append(keys, fmt.Sprintf("%s=%s and is now asked for %s", d.Key, d.A, d.B))
			}
		}
	}
	if len(keys) > 0 {
		return strings.Join(keys, ", with ")
	}
	return fmt.Sprintf("spec %.12s, seed %d, and is now asked for spec %.12s, seed %d", m.ConfigHash, m.Seed, r.spec.Hash(), r.spec.Seed)
}

// complete is the result of a run that has its result.json and its last checkpoint already:
// nothing is acquired or computed. Where one of them is damaged, the run goes on from what is whole.
func (r *run) complete(ctx context.Context, m *checkpoint.Manifest) (protocol.AttemptResult, bool, error) {
	if m == nil || !m.Meta.Final || r.o.Force {
		return r.result(), false, nil
	}
	old, err := r.oldResult(ctx, m.StateSHA256)
	if old == nil || err != nil {
		return r.result(), false, err
	}
	if r.o.DataDir == "" { // a file may have changed since
		data, err := dataset.LocalHash(ctx, dataset.OptionsOf(r.spec))
		if err != nil {
			return r.result(), false, fmt.Errorf("dataset of %s: %w", r.spec.Name, err)
		}
		if data != "" {
			if err := r.matches(ctx, m.Meta, data); err != nil {
				return r.result(), false, err
			}
		}
	}
	if _, err := checkpoint.LoadState(ctx, r.runs, r.newest); errors.Is(err, blob.ErrTransient) || ctx.Err() != nil {
		return r.result(), false, fmt.Errorf("read the last checkpoint of run %s: %w", r.o.Run, err)
	} else if err != nil {
		r.o.Logger.Warn("the run was finished, and its last checkpoint is damaged: an older one is trained to the end again",
			"run", r.o.Run, "error", err)
		return r.result(), false, nil
	}
	if err := r.mendSpec(ctx); err != nil {
		return r.result(), false, err
	}
	r.step, r.restoredFrom, r.meta = m.Step, m.Step, m.Meta
	if r.batches, err = ParseBatchChain(m.Meta.BatchSHA256); err != nil {
		return r.result(), false, err
	}
	r.events.progress(func(e *protocol.Event) {
		e.Step = r.step
		e.Total = r.total
		e.CommittedStep = r.step
		r.tellBest(e)
	})
	res := r.result()
	res.Backend, res.StateSHA256 = old.Backend, m.StateSHA256
	return withResult(res, *old), true, nil
}

// oldResult is the run's result as an earlier attempt has written it of a state; nil if it
// is missing, damaged, or that of another run or state, so that it is written anew.
func (r *run) oldResult(ctx context.Context, state string) (*protocol.RunResult, error) {
	old, err := protocol.ReadResult(ctx, r.bucket, protocol.Identity{Run: r.o.Run, SpecHash: r.spec.Hash(), Seed: r.spec.Seed})
	switch {
	case err == nil && old.StateSHA256 == state:
		return &old, nil
	case err == nil:
		r.o.Logger.Warn("result.json is of another state, and is written anew", "run", r.o.Run, "result", old.StateSHA256, "checkpoint", state)
		return nil, nil
	case errors.Is(err, blob.ErrNotExist):
		return nil, nil
	case errors.Is(err, protocol.ErrResult) && !errors.Is(err, protocol.ErrNewer):
		r.o.Logger.Warn("result.json is not used", "run", r.o.Run, "error", err)
		return nil, nil
	}
	return nil, fmt.Errorf("look for the result of run %s: %w", r.o.Run, err)
}
