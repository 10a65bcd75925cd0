package workflows

import (
	"fmt"

	"go.temporal.io/sdk/workflow"

	"trmsweep/internal/metrics"
	"trmsweep/internal/protocol"
	"trmsweep/internal/study"
)

// fewAttempts is how many attempts a sweep gets to know one by one. Of more it gets every
// tenth, so that thousands of preemptions fit into its history.
const fewAttempts = 20

// holdUp shows what the experiment waits for from now on: a kind of protocol.Holdup, and what there is to
// say beside it. It lasts until the next attempt, whose progress says the rest, or the next hold-up.
func (x *experimentState) holdUp(ctx workflow.Context, kind, detail string) {
	x.res.Holdup = protocol.Holdup{Kind: kind, Since: workflow.Now(ctx), Detail: detail}
	x.publish(ctx)
}

// publish shows the experiment's state: search attributes, metrics, the page in the Web UI and the sweep's row.
func (x *experimentState) publish(ctx workflow.Context) {
	r := &x.res
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
	rows := []study.ExperimentResult{*r}
	page := study.Table(rows)
	for _, line := range study.Holdups(rows) {
		page += "\n" + line + "\n"
	}
	if r.Error != "" {
		page += "\n" + r.Error + "\n"
	}
	if x.refused != "" {
		page += "\n" + x.refused + "\n"
	}
	workflow.SetCurrentDetails(ctx, page)
	x.sendRow(ctx)
}

// sendRow sends the experiment's row to its sweep if the sweep should know what has changed.
func (x *experimentState) sendRow(ctx workflow.Context) {
	r := &x.res
	if x.in.Sweep == "" {
		return
	}
	state := fmt.Sprint(r.Status, r.Attempts, r.HeldUp().Kind)
	betweenAttempts := r.Status == study.StatusQueued || r.Status == study.StatusRunning
	if r.Attempts > fewAttempts && betweenAttempts {
		if r.Status == study.StatusQueued {
			return
		}
		state = fmt.Sprint(r.Status, " ", r.Attempts/10*10)
	}
	if !x.in.StatusOnly {
		state += fmt.Sprint(r.Progress.Step * 10 / max(r.Item.TotalSteps, 1))
	}
	if x.in.EveryEvaluation {
		state += fmt.Sprint(" ", r.Progress.EvalStep)
	}
	if state == x.lastRow {
		return
	}
	x.lastRow = state
	x.lastRowSent = workflow.SignalExternalWorkflow(ctx, x.in.Sweep, "", SignalRows, []study.ExperimentResult{*r})
}
