package train

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"trmsweep/internal/blob"
	"trmsweep/internal/checkpoint"
	"trmsweep/internal/experiment"
	"trmsweep/internal/layout"
	"trmsweep/internal/protocol"
	"trmsweep/internal/tensor"
)

// finish ends a process that reached its last step: the state's digest, and for
// a complete run the evaluation on all test puzzles and result.json. A run whose
// process died between the last checkpoint and these gets them at its next start.
func (r *run) finish(ctx context.Context) (protocol.AttemptResult, error) {
	state, err := r.model.SnapshotInto(r.spare)
	if err != nil {
		return r.result(), err
	}
	digest := state.SHA256()
	r.spare = state
	res := func() protocol.AttemptResult {
		out := r.result()
		out.StateSHA256 = digest
		return out
	}
	if r.step < r.total {
		return res(), nil
	}
	r.meta.Final = true
	old, err := r.oldResult(ctx, digest)
	if err != nil {
		return res(), err
	}
	if old != nil && !r.o.Force {
		return withResult(res(), *old), nil
	}
	// Before the result: whoever finds that leaves the run alone.
	if _, err := r.writer.CleanAll(ctx); err != nil {
		return res(), fmt.Errorf("clean up run %s: %w", r.o.Run, err)
	}
	result, err := r.writeResult(ctx, digest)
	if err != nil {
		return res(), err
	}
	return withResult(res(), result), nil
}

// withResult adds what the run's result.json says to the last line of a process.
func withResult(line protocol.AttemptResult, result protocol.RunResult) protocol.AttemptResult {
	line.Result = layout.RunKey(line.Run, layout.ResultFile)
	outcome := result.Outcome()
	line.Outcome = &outcome
	return line
}

// writeResult evaluates the final and the best weights on the whole test set and stores result.json.
func (r *run) writeResult(ctx context.Context, digest string) (protocol.RunResult, error) {
	final, err := r.evaluate(ctx, r.model, r.step, r.spec.FinalEvalPuzzles)
	if err != nil {
		return protocol.RunResult{}, err
	}
	best, err := r.evaluateBest(ctx, final)
	if err != nil {
		return protocol.RunResult{}, err
	}
	curve, err := r.curve(ctx)
	if err != nil {
		return protocol.RunResult{}, err
	}
	goodput := r.watch.withPrior(r.prior)
	result := protocol.RunResult{
		Run: r.o.Run, Experiments: []string{r.spec.Name}, Spec: r.spec, SpecHash: r.spec.Hash(), Seed: r.spec.Seed,
		Params: r.spec.Params(), Steps: r.step,
		Best: bestOf(r.meta.Evals, final.Eval), Final: final.Eval, Evals: slices.Clone(r.meta.Evals),
		Curve: curve, FinalCorrect: protocol.Bitmap(final.exact),
		WallSeconds: goodput.Total(), Preemptions: int(r.writer.Term() - 1), GoodputSeconds: goodput,
		FLOPsPerStep: r.spec.FLOPsPerStep(), PredictedHours: r.spec.EstimatedHours(experiment.V4Chip),
		StateSHA256: digest, BatchSHA256: r.batches.Digest(), DatasetHash: r.meta.DatasetHash,
		CodeVersion: r.meta.CodeVersion, Backend: r.info.Name, Computed: r.parts, Imported: imported(r.meta),
	}
	if best != nil {
		result.BestFull, result.BestCorrect = &best.Eval, protocol.Bitmap(best.exact)
	}
	result.Best, _ = result.BestEval()
	data, err := result.Encode()
	if err != nil {
		return protocol.RunResult{}, err
	}
	if err := r.putResult(ctx, data); err != nil {
		return protocol.RunResult{}, fmt.Errorf("write result of run %s: %w", r.o.Run, err)
	}
	return result, nil
}

// putResult stores result.json in the place of what is there. Only the owner of the
// run does: the fence is looked at after the generation, so that a later owner's result has another.
func (r *run) putResult(ctx context.Context, data []byte) error {
	generation := blob.Absent
	attr, err := r.runs.Stat(ctx, layout.ResultFile)
	if err == nil {
		generation = attr.Generation
	} else if !errors.Is(err, blob.ErrNotExist) {
		return err
	}
	if err := r.writer.Check(ctx); err != nil {
		return err
	}
	_, err = blob.PutBytes(ctx, r.runs, layout.ResultFile, data, generation)
	if errors.Is(err, blob.ErrPrecondition) { // another owner, or this write once more after a lost answer
		there, _, rerr := blob.ReadAll(ctx, r.runs, layout.ResultFile, 0)
		if rerr == nil && bytes.Equal(there, data) {
			return nil
		}
		return cmp.Or(r.writer.Check(ctx), err)
	}
	return err
}

func bestOf(evals []protocol.Eval, final protocol.Eval) protocol.Eval {
	best := final
	for _, e := range evals {
		earlier := e.ExactAccuracy == best.ExactAccuracy && e.Step < best.Step
		if e.ExactAccuracy > best.ExactAccuracy || earlier {
			best = e
		}
	}
	return best
}

// evaluateBest evaluates the best checkpoint on the puzzles of the final
// evaluation. nil, with a line in the log, if that checkpoint cannot be read any more.
func (r *run) evaluateBest(ctx context.Context, final evalRows) (*evalRows, error) {
	if r.meta.BestStep == r.step || r.meta.BestStep == 0 {
		return &final, nil
	}
	head := r.writer.Head()
	for i := len(head.Entries) - 1; i >= 0; i-- {
		e := head.Entries[i]
		if e.Step != r.meta.BestStep || e.Bad != "" {
			continue
		}
		ck, err := checkpoint.LoadState(ctx, r.runs, e)
		if err != nil {
			r.o.Logger.Warn("best checkpoint cannot be read; its accuracy on the subset stands", "step", e.Step, "error", err)
			return nil, nil
		}
		live, err := r.model.Snapshot()
		if err != nil {
			return nil, err
		}
		rows, err := r.evaluateState(ctx, ck, live)
		if err != nil {
			return nil, err
		}
		return &rows, nil
	}
	r.o.Logger.Warn("best checkpoint is gone; its accuracy on the subset stands", "step", r.meta.BestStep)
	return nil, nil
}

// evaluateState evaluates a checkpoint's weights and puts the live state back.
func (r *run) evaluateState(ctx context.Context, ck *checkpoint.Checkpoint, live tensor.State) (evalRows, error) {
	if err := r.model.Load(ck.State); err != nil {
		return evalRows{}, fmt.Errorf("load best checkpoint, step %d: %w", ck.Step, err)
	}
	rows, err := r.evaluate(ctx, r.model, ck.Step, r.spec.FinalEvalPuzzles)
	if lerr := r.model.Load(live); err == nil {
		err = lerr
	}
	return rows, err
}

// curvePoints is about how many points of the loss curve a result keeps.
const curvePoints = 400

// curve is the loss trace of the whole run from its committed log, averaged over equal stretches of steps.
func (r *run) curve(ctx context.Context) ([][2]float64, error) {
	e, ok := newestGood(r.writer.Head())
	if !ok {
		return nil, nil
	}
	m, err := checkpoint.ReadManifest(ctx, r.runs, e)
	if err != nil {
		return nil, fmt.Errorf("read manifest for the curve: %w", err)
	}
	text, err := checkpoint.ReadMetrics(ctx, r.runs, m)
	if err != nil && !errors.Is(err, blob.ErrTransient) && ctx.Err() == nil { // no attempt can mend it, and the training itself is whole
		r.o.Logger.Warn("the metrics log is damaged; the result has no curve, and `trmsweep verify` names the damage", "error", err)
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read metrics log: %w", err)
	}
	return thin(text, r.total, curvePoints)
}

// thin averages the losses of a metrics log over at most points equal stretches.
func thin(jsonl []byte, total int64, points int) ([][2]float64, error) {
	width := max(1, (total+int64(points)-1)/int64(points))
	var out [][2]float64
	var sum float64
	var n, bin, last int64
	flush := func() {
		if n > 0 {
			out = append(out, [2]float64{float64(last), sum / float64(n)})
		}
		sum, n = 0, 0
	}
	for line := range bytes.Lines(jsonl) {
		var rec struct {
			Step int64    `json:"step"`
			Loss *float64 `json:"loss"`
		}
		if err := json.Unmarshal(line, &rec); err != nil {
			return nil, fmt.Errorf("metrics log: %w in line %.80q", err, line)
		}
		if rec.Loss == nil {
			continue
		}
		if b := (rec.Step - 1) / width; b != bin {
			flush()
			bin = b
		}
		sum, n, last = sum+*rec.Loss, n+1, rec.Step
	}
	flush()
	return out, nil
}
