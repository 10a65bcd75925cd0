package workflows

import (
	"fmt"
	"math"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"trmsweep/internal/metrics"
	"trmsweep/internal/queues"
	"trmsweep/internal/study"
)

// Search attributes, registered in the namespace by the stack.
var (
	attrSweep       = temporal.NewSearchAttributeKeyKeyword(queues.AttrSweep)
	attrPhase       = temporal.NewSearchAttributeKeyKeyword(queues.AttrPhase)
	attrExperiment  = temporal.NewSearchAttributeKeyKeyword(queues.AttrExperiment)
	attrStatus      = temporal.NewSearchAttributeKeyKeyword(queues.AttrStatus)
	attrStep        = temporal.NewSearchAttributeKeyInt64(queues.AttrStep)
	attrPreemptions = temporal.NewSearchAttributeKeyInt64(queues.AttrPreemptions)
	attrBest        = temporal.NewSearchAttributeKeyFloat64(queues.AttrBest)
	attrGoodput     = temporal.NewSearchAttributeKeyFloat64(queues.AttrGoodput)
)

// fewAttempts is how many a sweep hears of one by one; of more it hears of every
// tenth, so that thousands of preemptions fit into its history.
const fewAttempts = 20

// publish shows the experiment's state: search attributes, current details, and
// its sweep's row (at every tenth of the run and every change of status).
func (x *training) publish(ctx workflow.Context) {
	r := &x.res
	if now := (visible{r.Status, r.Progress.Step, int64(r.Preemptions), r.Progress.BestExactAccuracy, rounded(ctx, r.GoodputShare())}); now != x.shown {
		x.shown = now
		err := workflow.UpsertTypedSearchAttributes(ctx, attrSweep.ValueSet(x.in.Sweep), attrPhase.ValueSet(r.Item.Phase), attrExperiment.ValueSet(r.Item.Experiment),
			attrStatus.ValueSet(now.status), attrStep.ValueSet(now.step), attrPreemptions.ValueSet(now.preemptions), attrBest.ValueSet(now.best), attrGoodput.ValueSet(now.goodput))
		if err != nil {
			workflow.GetLogger(ctx).Warn("search attributes", "error", err)
		}
		metrics.Goodput{Sweep: x.in.Sweep, Phase: r.Item.Phase, Experiment: r.Item.ID, Seconds: r.Goodput, Goodput: r.GoodputShare(), LostSteps: r.LostSteps, Preemptions: r.Preemptions}.
			Publish(workflow.GetMetricsHandler(ctx))
	}
	details := study.Table([]study.ExperimentResult{*r})
	if r.Error != "" {
		details += "\n" + r.Error + "\n"
	}
	workflow.SetCurrentDetails(ctx, details)
	if x.in.Sweep == "" {
		return
	}
	mark := fmt.Sprint(r.Status, r.Attempts)
	if n := r.Attempts; n > fewAttempts && (r.Status == study.StatusQueued || r.Status == study.StatusRunning) {
		if r.Status == study.StatusQueued {
			return
		}
		mark = fmt.Sprint(r.Status, " ", n/10*10)
	}
	if !x.in.Quiet {
		mark += fmt.Sprint(r.Progress.Step * 10 / max(r.Item.TotalSteps, 1))
	}
	if x.in.TellEvals {
		mark += fmt.Sprint(" ", r.Progress.EvalStep)
	}
	if mark == x.lastRow {
		return
	}
	x.lastRow = mark
	x.sent = workflow.SignalExternalWorkflow(ctx, x.in.Sweep, "", SignalRows, []study.ExperimentResult{*r})
}

// show publishes the sweep's live table, counts and time left.
func (s *sweep) show(ctx workflow.Context) {
	s.res.Tally()
	workflow.SetCurrentDetails(ctx, s.res.Markdown())
	now := visible{status: s.res.Status, goodput: rounded(ctx, s.res.Goodput.Share(s.res.WallSeconds))}
	for _, r := range s.res.Experiments {
		now.best = max(now.best, r.Progress.BestExactAccuracy)
		if r.Item.SameAs == "" {
			now.step += r.Progress.Step
			now.preemptions += int64(r.Preemptions)
		}
	}
	if now == s.shown {
		return
	}
	s.shown = now
	err := workflow.UpsertTypedSearchAttributes(ctx, attrSweep.ValueSet(s.res.Sweep), attrStatus.ValueSet(now.status), attrBest.ValueSet(now.best),
		attrStep.ValueSet(now.step), attrPreemptions.ValueSet(now.preemptions), attrGoodput.ValueSet(now.goodput))
	if err != nil {
		workflow.GetLogger(ctx).Warn("search attributes", "error", err)
	}
}

// rounded is a share as the list of the Web UI shows it, to a hundredth of a percent.
func rounded(ctx workflow.Context, share float64) float64 {
	short := math.Round(share*1e4) / 1e4
	if short != share && workflow.GetVersion(ctx, "goodput-rounded", workflow.DefaultVersion, 1) == workflow.DefaultVersion {
		return share
	}
	return short
}

// visible are the search attributes that change.
type visible struct {
	status            string
	step, preemptions int64
	best, goodput     float64
}
