package train

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"trmsweep/internal/backend"
	"trmsweep/internal/blob"
	"trmsweep/internal/checkpoint"
	"trmsweep/internal/layout"
	"trmsweep/internal/protocol"
	"trmsweep/internal/trm"
)

// EvalOptions say which weights to evaluate on what. The fields of Options that
// Evaluate uses are Bucket, Run, CacheDir, DataDir, Opener, Backend, Threads,
// Events and Notice.
type EvalOptions struct {
	Options
	At      string // newest, best, or the step of a checkpoint that is kept; empty = newest
	Puzzles int    // evenly spaced test puzzles, 0 = all
	Steps   int    // supervision steps, 0 = the spec's halt_max_steps; more may solve more (paper: 16)
}

// Evaluation is what Evaluate measured. Accuracies are fractions.
type Evaluation struct {
	Run string `json:"run"`
	protocol.Eval
	DatasetHash string `json:"dataset_hash"`
	Backend     string `json:"backend"`
}

// Evaluate runs a checkpoint's weights (EMA if the run has it) on held-out
// puzzles. It takes no fence and writes nothing: the run may be training.
// Errors: ErrNoRun, ErrNoCheckpoint, ErrNeedData, checkpoint and dataset errors, ErrPreempted at a notice.
func Evaluate(ctx context.Context, o EvalOptions) (Evaluation, error) {
	o.defaults()
	r := &run{o: o.Options, rows: map[evalKey]evalRows{}, bucket: o.Bucket, runs: layout.Run(o.Bucket, o.Run)}
	r.events = newAnnouncer(o.Events, o.Now)
	r.watch = newStopwatch(o.Now, o.Start, protocol.BucketStarting)
	ctx, cancel := context.WithCancelCause(ctx)
	defer func() { r.close(cancel) }()
	ck, err := r.checkpointAt(ctx, o.At)
	if err != nil {
		return Evaluation{}, err
	}
	if err := r.openDataOf(ctx, ck.Manifest.Meta); err != nil {
		return Evaluation{}, err
	}
	be, info, err := backend.Open(ctx, o.Backend,
		backend.Options{Threads: o.Threads, Cache: r.compileCache(o.Backend, false), Compiled: r.compiled})
	if err != nil {
		return Evaluation{}, err
	}
	if o.Steps > 0 { // after the match: it changes the spec's hash
		r.spec.HaltMaxSteps = o.Steps
	}
	if r.model, err = trm.New(be, trm.ConfigFromSpec(r.spec, r.train.NumPuzzleIdentifiers())); err != nil {
		return Evaluation{}, fmt.Errorf("build model of run %s: %w", o.Run, err)
	}
	if err := r.model.Load(ck.State); err != nil {
		return Evaluation{}, fmt.Errorf("load checkpoint %s: %w", ck.Entry.Manifest, err)
	}
	rows, err := r.evaluate(ctx, r.model, ck.Step, o.Puzzles)
	if errors.Is(err, errNotice) {
		err = fmt.Errorf("%w while evaluating: %s", ErrPreempted, r.notice)
	}
	if err != nil {
		return Evaluation{}, err
	}
	return Evaluation{Run: o.Run, Eval: rows.Eval, DatasetHash: r.meta.DatasetHash, Backend: info.Name}, nil
}

// ErrNoCheckpoint: the run has no checkpoint of the step that was asked for.
var ErrNoCheckpoint = errors.New("no such checkpoint")

// checkpointAt reads the run's spec and one of its checkpoints.
func (r *run) checkpointAt(ctx context.Context, at string) (*checkpoint.Checkpoint, error) {
	ck, err := LoadCheckpoint(ctx, r.bucket, r.o.Run, at)
	if err != nil {
		return nil, err
	}
	if err := finite(ck.State); err != nil {
		return nil, fmt.Errorf("checkpoint of step %d of run %s cannot be evaluated: %w", ck.Step, r.o.Run, err)
	}
	if r.spec, err = protocol.ReadSpec(ctx, r.runs); err != nil {
		return nil, fmt.Errorf("spec of run %s: %w", r.o.Run, err)
	}
	return ck, nil
}

// LoadCheckpoint reads a checkpoint of a run, which may be training: the newest, the best,
// or the one of a step. Errors: ErrNoRun, ErrNoCheckpoint, storage and damage.
func LoadCheckpoint(ctx context.Context, b blob.Bucket, run, at string) (*checkpoint.Checkpoint, error) {
	runs := layout.Run(b, run)
	ck, err := checkpoint.Load(ctx, runs, func(h checkpoint.Head) (checkpoint.Entry, error) { return chooseEntry(h, at) })
	switch {
	case errors.Is(err, blob.ErrNotExist) && !errors.Is(err, checkpoint.ErrDamaged):
		return nil, fmt.Errorf("%w: %s", ErrNoRun, run)
	case errors.Is(err, ErrNoCheckpoint):
		return nil, fmt.Errorf("run %s: %w", run, err)
	case err != nil:
		return nil, fmt.Errorf("read run %s: %w", run, err)
	}
	return ck, nil
}

// chooseEntry finds the newest, the best, or the checkpoint of a step.
func chooseEntry(head checkpoint.Head, at string) (checkpoint.Entry, error) {
	newest, ok := newestGood(head)
	if !ok {
		return newest, fmt.Errorf("%w: none is committed", ErrNoCheckpoint)
	}
	if at == "" || at == "newest" {
		return newest, nil
	}
	step, err := strconv.ParseInt(at, 10, 64)
	if err != nil && at != "best" {
		return newest, fmt.Errorf("%w: %q is neither newest, best nor a step", ErrNoCheckpoint, at)
	}
	var steps []int64
	for _, e := range head.Entries {
		if e.Bad != "" {
			continue
		}
		chosen := e.Step == step
		if at == "best" {
			chosen = e.Best
		}
		if chosen {
			return e, nil
		}
		steps = append(steps, e.Step)
	}
	if at == "best" {
		return newest, fmt.Errorf("%w: none of those that are kept was evaluated; kept are steps %v", ErrNoCheckpoint, steps)
	}
	return newest, fmt.Errorf("%w: %s; kept are steps %v", ErrNoCheckpoint, at, steps)
}
