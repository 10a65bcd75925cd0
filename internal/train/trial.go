package train

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"sync/atomic"

	"trmsweep/internal/blob"
	"trmsweep/internal/checkpoint"
	"trmsweep/internal/experiment"
	"trmsweep/internal/layout"
	"trmsweep/internal/protocol"
)

// TrialResult is what a short run of a spec has shown.
type TrialResult struct {
	Backend     string    `json:"backend"`
	Losses      []float64 `json:"losses"` // per row, of each step
	StepSeconds float64   `json:"step_seconds"`
	StateSHA256 string    `json:"state_sha256"` // after the last step, and again after restoring it
}

// Trial trains a spec's model for a few steps on the real data, backend and store, saves,
// restores the checkpoint into a new model and compares. The loss must fall: an error says
// what is wrong. The learning rate is high enough for that to show, and every step gets the
// same batch: of different small batches a later one may be harder than the first. The caller
// gives a bucket of its own and removes what is left there. o.Events must be nil.
func Trial(ctx context.Context, o Options, steps int64) (TrialResult, error) {
	var out TrialResult
	o.Spec = trialSpec(o.Spec, steps)
	o.Run = "trial"
	o.MaxSteps = steps
	o.sameBatch = true
	var rate atomic.Uint64
	o.Events = func(e protocol.Event) {
		if e.StepsPerSecond > 0 {
			rate.Store(math.Float64bits(e.StepsPerSecond))
		}
	}
	first, err := Run(ctx, o)
	if err != nil {
		return out, err
	}
	out.Backend, out.StateSHA256 = first.Backend, first.StateSHA256
	if r := math.Float64frombits(rate.Load()); r > 0 {
		out.StepSeconds = 1 / r
	}
	if out.Losses, err = trialLosses(ctx, layout.Run(o.Bucket, o.Run)); err != nil {
		return out, err
	}
	if int64(len(out.Losses)) != steps {
		return out, fmt.Errorf("%d steps were trained and %d logged", steps, len(out.Losses))
	}
	third := max(1, int(steps)/3)
	if begin, end := mean(out.Losses[:third]), mean(out.Losses[len(out.Losses)-third:]); !o.Spec.FreezeWeights && !(end < begin) {
		return out, fmt.Errorf("the loss does not fall in %d steps: %.4f, then %.4f", steps, begin, end)
	}
	second, err := Run(ctx, o)
	if err != nil {
		return out, fmt.Errorf("restore: %w", err)
	}
	if second.RestoredFromStep != steps || second.StateSHA256 != first.StateSHA256 {
		return out, fmt.Errorf("restored step %d with state %.12s, saved was step %d with %.12s",
			second.RestoredFromStep, second.StateSHA256, steps, first.StateSHA256)
	}
	return out, nil
}

// trialSpec is the spec long enough for the steps, without a warm-up, and learning fast enough to see it.
func trialSpec(s experiment.Spec, steps int64) experiment.Spec {
	s.LRWarmupSteps, s.LRMinRatio = 1, 1
	s.LR = math.Max(s.LR, 1e-3)
	s.EvalPuzzles, s.CheckpointEverySteps = 1, 1000
	for s.TotalSteps() <= steps {
		s.Epochs += max(1, s.EvalIntervalEpochs)
	}
	return s
}

func trialLosses(ctx context.Context, run blob.Bucket) ([]float64, error) {
	h, err := checkpoint.ReadHead(ctx, run)
	if err != nil {
		return nil, err
	}
	if len(h.Entries) == 0 {
		return nil, fmt.Errorf("nothing was saved")
	}
	m, err := checkpoint.ReadManifest(ctx, run, h.Entries[len(h.Entries)-1])
	if err != nil {
		return nil, err
	}
	text, err := checkpoint.ReadMetrics(ctx, run, m)
	if err != nil {
		return nil, err
	}
	var losses []float64
	for line := range bytes.Lines(text) {
		var rec struct{ Loss *float64 }
		if err := json.Unmarshal(line, &rec); err != nil {
			return nil, fmt.Errorf("metrics log: %w", err)
		}
		if rec.Loss != nil {
			losses = append(losses, *rec.Loss)
		}
	}
	return losses, nil
}

func mean(xs []float64) float64 {
	sum := 0.0
	for _, x := range xs {
		sum += x
	}
	return sum / float64(max(1, len(xs)))
}
