package train

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"trmsweep/internal/blob"
	"trmsweep/internal/checkpoint"
	"trmsweep/internal/dataset"
	"trmsweep/internal/experiment"
	"trmsweep/internal/layout"
	"trmsweep/internal/protocol"
)

// VerifyOptions say which run to verify; DataDir only for a run that was trained with one.
type VerifyOptions struct {
	Bucket   blob.Bucket
	Run      string
	CacheDir string
	DataDir  string
	Opener   dataset.Opener
}

// Verification is what Verify found. OK means that nothing is damaged, missing, repeated or skipped.
type Verification struct {
	Run         string               `json:"run"`
	OK          bool                 `json:"ok"`
	Step        int64                `json:"step"` // of the newest good checkpoint
	Total       int64                `json:"total"`
	Finished    bool                 `json:"finished"`
	StateSHA256 string               `json:"state_sha256"`
	Checkpoints []VerifiedCheckpoint `json:"checkpoints"`
	BatchSHA    string               `json:"ledger_sha256"` // recomputed, at Step
	BatchSteps  int64                `json:"ledger_steps"`  // recomputed
	LoggedSteps int64                `json:"logged_steps"`
	LoggedEvals int64                `json:"logged_evals"`
	Objects     int                  `json:"objects"` // read whole
	Bytes       int64                `json:"bytes"`
	Orphans     []VerifiedOrphan     `json:"orphans"` // referred to by nothing; collected by later attempts
	Faults      []string             `json:"faults"`
	Imported    *protocol.Imported   `json:"imported,omitempty"` // where the weights at step 0 come from; nil: from the seed
}

// VerifiedCheckpoint is one checkpoint that HEAD lists.
type VerifiedCheckpoint struct {
	Step     int64    `json:"step"`
	Term     int64    `json:"epoch"`
	Manifest string   `json:"manifest"`
	Best     bool     `json:"best,omitempty"`
	Bad      string   `json:"bad,omitempty"` // an attempt has found this and skipped it: known, not a fault
	Faults   []string `json:"faults,omitempty"`
}

// VerifiedOrphan is an object that no commit refers to.
type VerifiedOrphan struct {
	Key     string `json:"key"`
	Size    int64  `json:"size"`
	Term    int64  `json:"epoch"`   // of its writer
	Updated string `json:"updated"` // by the storage's clock, RFC 3339
}

// ErrNoRun: there is nothing of that name in the store.
var ErrNoRun = errors.New("no such run")

// ErrNeedData: the run was trained on a folder that the store does not hold.
var ErrNeedData = errors.New("the run's dataset is not in the store")

// Verify reads every object of a run and recomputes what can be recomputed: the
// batch chain of all steps from spec and dataset, and the sequence of the
// metrics log. It writes nothing to the store. Damage is in the result; an error
// means that it could not finish (ErrNoRun, ErrNeedData, storage). What looks like
// damage while the run goes on, because old checkpoints are deleted, is looked at again.
func Verify(ctx context.Context, o VerifyOptions) (Verification, error) {
	const tries = 4
	for try := 1; ; try++ {
		v, generation, err := verifyOnce(ctx, o)
		if err != nil || v.OK || try == tries {
			return v, err
		}
		head, err := checkpoint.ReadHead(ctx, layout.Run(o.Bucket, o.Run))
		if err != nil || head.Generation == generation {
			return v, nil
		}
	}
}

// verifyOnce is Verify, with the generation of HEAD that it has gone by.
func verifyOnce(ctx context.Context, o VerifyOptions) (Verification, int64, error) {
	v := Verification{Run: o.Run, Checkpoints: []VerifiedCheckpoint{}, Orphans: []VerifiedOrphan{}, Faults: []string{}}
	runs := layout.Run(o.Bucket, o.Run)
	rep, err := checkpoint.Verify(ctx, runs)
	switch {
	case errors.Is(err, checkpoint.ErrAllBad):
		if err := notImported(ctx, runs, o.Run); err != nil {
			return v.unfinishedImport(err)
		}
		v.fault("%v", err)
		return v.done(), 0, nil
	case errors.Is(err, blob.ErrNotExist):
		if err := notImported(ctx, runs, o.Run); err != nil {
			return v.unfinishedImport(err)
		}
		return v, 0, fmt.Errorf("%w: %s", ErrNoRun, o.Run)
	case err != nil:
		return v, 0, err
	}
	if rep.Rebuilt != "" {
		v.fault("%s; the next attempt makes it anew from the checkpoints that lie there, none of which is to be deleted", rep.Rebuilt)
	}
	if rep.Newest == nil && !manifests(rep) {
		if err := notImported(ctx, runs, o.Run); err != nil {
			return v.unfinishedImport(err)
		}
	}
	v, err = v.recompute(ctx, o, runs, rep)
	return v, rep.Head.Generation, err
}

// recompute goes beyond the checkpoints' own check: spec, batches, log and result.
func (v Verification) recompute(ctx context.Context, o VerifyOptions, runs blob.Bucket, rep checkpoint.Report) (Verification, error) {
	v.addCheckpoints(rep)
	if rep.Newest == nil {
		if len(rep.Head.Entries) > 0 {
			v.fault("no checkpoint can be restored")
		}
		return v.done(), nil
	}
	spec, err := protocol.ReadSpec(ctx, runs)
	if errors.Is(err, protocol.ErrNoSpec) {
		v.fault("spec.json: %v", err)
		return v.done(), nil
	}
	if err != nil {
		return v, err
	}
	if m := rep.Newest.Meta; !spec.HasHash(m.ConfigHash) || spec.Seed != m.Seed {
		v.fault("spec.json is of spec %.12s, seed %d; the run was trained with spec %.12s, seed %d: "+
			"the next `trmsweep train` of it writes the file anew",
			spec.Hash(), spec.Seed, m.ConfigHash, m.Seed)
		return v.done(), nil
	}
	v.Total = spec.TotalSteps()
	if err := v.checkBatches(ctx, o, spec, rep); err != nil {
		return v, err
	}
	if err := v.checkLog(ctx, runs, spec, *rep.Newest); err != nil {
		return v, err
	}
	if err := v.checkResult(ctx, o.Bucket, spec, *rep.Newest); err != nil {
		return v, err
	}
	return v.done(), nil
}

// unfinishedImport is the result for a run that is an import without a commit, unless err is the storage's.
func (v Verification) unfinishedImport(err error) (Verification, int64, error) {
	known := errors.Is(err, ErrUnfinishedImport) || errors.Is(err, checkpoint.ErrAllBad)
	if !known {
		return v, 0, err
	}
	v.fault("%v", err)
	return v.done(), 0, nil
}

// manifests reports whether the manifest of a checkpoint can be read.
func manifests(rep checkpoint.Report) bool {
	return slices.ContainsFunc(rep.Checkpoints, func(c checkpoint.Verified) bool { return c.Manifest != nil })
}

func (v *Verification) fault(format string, args ...any) {
	v.Faults = append(v.Faults, fmt.Sprintf(format, args...))
}

func (v Verification) done() Verification {
	v.OK = len(v.Faults) == 0
	return v
}

// addCheckpoints copies what the checkpoints' own check found.
func (v *Verification) addCheckpoints(rep checkpoint.Report) {
	v.Objects, v.Bytes = rep.Objects, rep.Bytes
	for _, c := range rep.Checkpoints {
		e := c.Entry
		v.Checkpoints = append(v.Checkpoints, VerifiedCheckpoint{e.Step, e.Term, e.Manifest, e.Best, e.Bad, c.Faults})
		if e.Bad == "" {
			for _, f := range c.Faults {
				v.fault("checkpoint of step %d: %s", e.Step, f)
			}
		}
	}
	for _, f := range rep.Logs {
		v.fault("log: %s", f)
	}
	for _, o := range rep.Orphans {
		v.Orphans = append(v.Orphans, VerifiedOrphan{o.Key, o.Size, o.Term, o.Updated.UTC().Format("2006-01-02T15:04:05.000Z07:00")})
	}
	if m := rep.Newest; m != nil {
		v.Step, v.Finished, v.StateSHA256 = m.Step, m.Meta.Final, m.StateSHA256
		v.Imported = imported(m.Meta)
	}
}

// checkBatches feeds the chain with every batch from step 1 on and compares it at every checkpoint.
func (v *Verification) checkBatches(ctx context.Context, o VerifyOptions, spec experiment.Spec, rep checkpoint.Report) error {
	set, err := openTrain(ctx, o, spec, rep.Newest.Meta.DatasetHash)
	if err != nil {
		return err
	}
	defer set.Close()
	sampler, err := dataset.NewSampler(set, uint64(spec.Seed), spec.GlobalBatchSize, spec.EvalIntervalEpochs)
	if err != nil {
		return fmt.Errorf("batches of run %s: %w", v.Run, err)
	}
	at := map[int64][]*checkpoint.Manifest{}
	for _, c := range rep.Checkpoints {
		if c.Manifest != nil && c.Entry.Bad == "" {
			at[c.Manifest.Step] = append(at[c.Manifest.Step], c.Manifest)
		}
	}
	batches, _ := ParseBatchChain("")
	var b dataset.Batch
	draws := make([]int32, spec.GlobalBatchSize)
	for step := int64(0); ; step++ {
		if step > 0 {
			if err := sampler.Batch(step-1, 0, 1, &b); err != nil {
				return fmt.Errorf("batch of step %d: %w", step, err)
			}
			explore(draws, uint64(spec.Seed), step, spec.HaltExplorationProb, spec.HaltMaxSteps)
			batches.Add(step, &b, draws)
		}
		for _, m := range at[step] {
			if m.Meta.DataStep != step {
				v.fault("checkpoint of step %d has taken %d batches", step, m.Meta.DataStep)
			}
			if m.Meta.BatchSHA256 != batches.Digest() {
				v.fault("batch chain of step %d is %s, the batches that should have been fed up to there give %s: "+
					"some were repeated, skipped or changed",
					step, m.Meta.BatchSHA256, batches.Digest())
			}
		}
		if step%1000 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if step == rep.Newest.Step {
			v.BatchSHA, v.BatchSteps = batches.Digest(), step
			return nil
		}
	}
}

// openTrain opens the training split of the run's dataset.
func openTrain(ctx context.Context, o VerifyOptions, spec experiment.Spec, want string) (*dataset.Set, error) {
	open, got, err := findData(ctx, o.Bucket, o.DataDir, o.CacheDir, o.Opener, spec, want)
	if err != nil {
		return nil, fmt.Errorf("dataset of run %s: %w", o.Run, err)
	}
	if got != want {
		return nil, needData(o.Run, want, got)
	}
	return open("train")
}

// readOnly refuses writes in the one way that says somebody else was first.
type readOnly struct{ blob.Bucket }

func (readOnly) Put(_ context.Context, key string, _ io.ReaderAt, _, _ int64) (blob.Attr, error) {
	return blob.Attr{}, fmt.Errorf("put %s: verification writes nothing: %w", key, blob.ErrPrecondition)
}

// checkLog reads the metrics log: every step once and in order, every evaluation where it is due.
func (v *Verification) checkLog(ctx context.Context, runs blob.Bucket, spec experiment.Spec, m checkpoint.Manifest) error {
	text, err := checkpoint.ReadMetrics(ctx, runs, m)
	if errors.Is(err, blob.ErrTransient) || ctx.Err() != nil {
		return err
	}
	if err != nil {
		return nil // a fault of a piece, which is in the list already
	}
	evaluated := map[int64]bool{}
	for line := range bytes.Lines(text) {
		var rec struct {
			Step int64           `json:"step"`
			Eval json.RawMessage `json:"eval"`
		}
		if err := json.Unmarshal(line, &rec); err != nil {
			v.fault("metrics log: %v in line %.80q", err, line)
			return nil
		}
		switch {
		case rec.Eval == nil && rec.Step != v.LoggedSteps+1:
			v.fault("metrics log: step %d comes after step %d", rec.Step, v.LoggedSteps)
			return nil
		case rec.Eval == nil:
			v.LoggedSteps++
		case rec.Step != v.LoggedSteps || evaluated[rec.Step]:
			v.fault("metrics log: an evaluation of step %d, the second one or not in its place after step %d", rec.Step, v.LoggedSteps)
		default:
			evaluated[rec.Step] = true
			v.LoggedEvals++
		}
	}
	if v.LoggedSteps != m.Step {
		v.fault("metrics log ends at step %d, the checkpoint is of step %d", v.LoggedSteps, m.Step)
	}
	for step := spec.StepsPerEval(); step < m.Step; step += spec.StepsPerEval() { // a notice may have come before the one at the end
		if !evaluated[step] {
			v.fault("metrics log: step %d was not evaluated", step)
		}
	}
	if len(m.Meta.Evals) != len(evaluated) {
		v.fault("the manifest lists %d evaluations, the metrics log %d", len(m.Meta.Evals), len(evaluated))
	}
	return nil
}

// checkResult compares result.json with the final checkpoint; a finished run has one.
func (v *Verification) checkResult(ctx context.Context, b blob.Bucket, spec experiment.Spec, m checkpoint.Manifest) error {
	r, err := protocol.ReadResult(ctx, b, protocol.Identity{Run: v.Run, SpecHash: spec.Hash(), Seed: spec.Seed})
	switch {
	case errors.Is(err, blob.ErrNotExist) && m.Meta.Final:
		v.fault("%s is missing though the run is at its last step: it is being written at this moment, or the next `trmsweep train` writes it",
			layout.ResultFile)
		return nil
	case errors.Is(err, blob.ErrNotExist):
		return nil
	case errors.Is(err, protocol.ErrResult):
		v.fault("%v", err)
		return nil
	case err != nil:
		return err
	}
	v.Objects++
	attr, err := b.Stat(ctx, layout.RunKey(v.Run, layout.ResultFile))
	if err != nil {
		return fmt.Errorf("size of %s: %w", layout.ResultFile, err)
	}
	v.Bytes += attr.Size
	switch {
	case !m.Meta.Final:
		v.fault("%s exists though the newest checkpoint, step %d of %d, is not final", layout.ResultFile, m.Step, v.Total)
	case r.StateSHA256 != m.StateSHA256 || r.BatchSHA256 != m.Meta.BatchSHA256 || r.Steps != m.Step:
		v.fault("%s is of step %d with state %.12s and batches %.12s; the final checkpoint of step %d has %.12s and %.12s",
			layout.ResultFile, r.Steps, r.StateSHA256, r.BatchSHA256, m.Step, m.StateSHA256, m.Meta.BatchSHA256)
	}
	return nil
}
