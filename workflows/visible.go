package workflows

import (
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"trmsweep/internal/queues"
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

// publish shows the experiment's state: search attributes, current details, and
// its sweep's row (at every tenth of the run and every change of status).
func (x *training) publish(ctx workflow.Context) {
	r := &x.res
	if err := workflow.UpsertTypedSearchAttributes(ctx, attrSweep.ValueSet(x.in.Sweep), attrPhase.ValueSet(r.Item.Phase), attrExperiment.ValueSet(r.Item.Experiment),
		attrStatus.ValueSet(r.Status), attrStep.ValueSet(r.Progress.Step), attrPreemptions.ValueSet(int64(r.Preemptions)),
		attrBest.ValueSet(r.Progress.BestExactAccuracy), attrGoodput.ValueSet(r.goodput())); err != nil {
		workflow.GetLogger(ctx).Warn("search attributes", "error", err)
	}
	details := table([]ExperimentResult{*r})
	if r.Error != "" {
		details += "\n" + r.Error + "\n"
	}
	workflow.SetCurrentDetails(ctx, details)
	if x.in.Sweep == "" {
		return
	}
	mark := r.Progress.Step*10/max(r.Item.TotalSteps, 1) + 100*int64(len(r.Status)) + 10000*int64(r.Attempts)
	if mark == x.lastRow {
		return
	}
	x.lastRow = mark
	x.sent = workflow.SignalExternalWorkflow(ctx, x.in.Sweep, "", SignalRows, []ExperimentResult{*r})
}

// details is the page of a sweep in the Web UI.
func (s *SweepResult) details() string {
	var b strings.Builder
	fmt.Fprintf(&b, "**%s**, profile %s: %d of %d done", s.Status, s.Profile, s.Done, len(s.Experiments))
	if s.Failed > 0 {
		fmt.Fprintf(&b, ", %d failed", s.Failed)
	}
	if s.Status == StatusRunning && s.Stage != "" {
		fmt.Fprintf(&b, "; now: %s", s.Stage)
	}
	if e := eta(s.ETASeconds); e != "" {
		fmt.Fprintf(&b, "; time left: %s", e)
	}
	if g := share(s.Goodput, s.WallSeconds); g > 0 {
		fmt.Fprintf(&b, "; goodput %.0f%%", 100*g)
	}
	b.WriteString("\n\n" + table(s.Experiments))
	for _, n := range s.Notes {
		b.WriteString("\n- note: " + n)
	}
	for _, r := range s.Experiments {
		if r.Error != "" && r.Item.SameAs == "" {
			fmt.Fprintf(&b, "\n- %s: %s", r.Item.ID, r.Error)
		}
	}
	return b.String()
}

// table is the Markdown table of the Web UI.
func table(rows []ExperimentResult) string {
	var b strings.Builder
	b.WriteString("| experiment | status | step | loss | best exact | preemptions | ETA |\n|---|---|---|---|---|---|---|\n")
	for i, r := range rows {
		if i == 200 {
			fmt.Fprintf(&b, "\n%d more: `trmsweep status`\n", len(rows)-i)
			break
		}
		fmt.Fprintf(&b, "| %s | %s | %d/%d | %.4g | %.2f%% | %d | %s |\n", r.Item.ID, r.Status, r.Progress.Step, r.Item.TotalSteps,
			r.Progress.Loss, 100*r.Progress.BestExactAccuracy, r.Preemptions, eta(r.Progress.ETASeconds))
	}
	return b.String()
}

func eta(seconds float64) string {
	if seconds <= 0 {
		return ""
	}
	return (time.Duration(seconds) * time.Second).String()
}
