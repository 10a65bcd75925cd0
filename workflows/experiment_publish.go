package workflows

import (
	"cmp"

	"go.temporal.io/sdk/workflow"

	"trmsweep/internal/metrics"
	"trmsweep/internal/protocol"
	"trmsweep/internal/study"
)

// holdUp shows what the experiment waits for from now on: a kind of protocol.Holdup, and what there is to
// say beside it. It lasts until the next attempt, whose progress says the rest, or the next hold-up.
func (x *experimentState) holdUp(ctx workflow.Context, kind, detail string) {
	x.res.Holdup = protocol.Holdup{Kind: kind, Since: workflow.Now(ctx), Detail: detail}
	x.publish(ctx)
}

// publish shows the experiment's state: search attributes, metrics, the page in the Web UI and the sweep's row.
func (x *experimentState) publish(ctx workflow.Context) {
	r := x.res
	if x.attempt != nil && r.Status == study.StatusRunning {
		r = r.During(x.attempt.asked, workflow.Now(ctx))
	}
	now := searchAttributes{
		status:      r.Status,
		holdup:      r.HeldUp().Kind,
		step:        r.Progress.Step,
		preemptions: int64(r.Preemptions),
		goodput:     r.GoodputShare(),
	}
	now.take(r.Outcome)
	changed := x.attributes.update(ctx, now,
		attrSweep.ValueSet(x.in.Sweep),
		attrPhase.ValueSet(r.Item.Phase),
		attrExperiment.ValueSet(r.Item.Experiment))
	if changed {
		metrics.Goodput{
			Sweep:       x.in.Sweep,
			Phase:       r.Item.Phase,
			Experiment:  r.Item.ID,
			Seconds:     r.Goodput,
			Goodput:     r.GoodputShare(),
			LostSteps:   r.LostSteps,
			Preemptions: r.Preemptions,
		}.Publish(workflow.GetMetricsHandler(ctx))
	}
	rows := []study.ExperimentResult{r}
	page := study.Table(rows)
	for _, line := range study.Holdups(cmp.Or(x.in.Sweep, workflow.GetInfo(ctx).WorkflowExecution.ID), rows) {
		page += "\n" + line + "\n"
	}
	if r.Error != "" {
		page += "\n" + r.Error + "\n"
	}
	if x.refused != "" {
		page += "\n" + x.refused + "\n"
	}
	workflow.SetCurrentDetails(ctx, page)
	x.tellSweep(ctx)
}

// tellSweep tells the sweep how the experiment stands, if that changes something for it.
func (x *experimentState) tellSweep(ctx workflow.Context) {
	now := x.res.ToTell(x.told, x.in.EveryEvaluation)
	if x.in.Sweep == "" || now == x.told {
		return
	}
	x.told = now
	_ = workflow.SignalExternalWorkflow(ctx, x.in.Sweep, "", SignalStanding, study.Standing{Restarts: x.in.Restarts, Result: x.res})
}
