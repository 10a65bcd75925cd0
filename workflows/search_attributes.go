package workflows

import (
	"math"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"trmsweep/internal/protocol"
	"trmsweep/internal/queues"
)

// Search attributes, registered in the namespace by the stack.
var (
	attrSweep       = temporal.NewSearchAttributeKeyKeyword(queues.AttrSweep)
	attrPhase       = temporal.NewSearchAttributeKeyKeyword(queues.AttrPhase)
	attrExperiment  = temporal.NewSearchAttributeKeyKeyword(queues.AttrExperiment)
	attrStatus      = temporal.NewSearchAttributeKeyKeyword(queues.AttrStatus)
	attrHoldup      = temporal.NewSearchAttributeKeyKeyword(queues.AttrHoldup)
	attrStep        = temporal.NewSearchAttributeKeyInt64(queues.AttrStep)
	attrPreemptions = temporal.NewSearchAttributeKeyInt64(queues.AttrPreemptions)
	attrBest        = temporal.NewSearchAttributeKeyFloat64(queues.AttrBest)
	attrGoodput     = temporal.NewSearchAttributeKeyFloat64(queues.AttrGoodput)
)

// searchAttributes are those that change while a sweep or an experiment runs.
type searchAttributes struct {
	status      string
	holdup      string
	step        int64
	preemptions int64
	finished    bool    // best is known
	best        float64 // best exact accuracy of what is finished, never of a part of the test puzzles
	goodput     float64
}

// update shows new values, with others that never change, and says whether there were any.
func (a *searchAttributes) update(ctx workflow.Context, now searchAttributes, fixed ...temporal.SearchAttributeUpdate) bool {
	now.goodput = math.Round(now.goodput*1e4) / 1e4 // as the list of the Web UI shows it
	if now == *a {
		return false
	}
	*a = now
	updates := append(fixed,
		attrStatus.ValueSet(now.status),
		attrHoldup.ValueSet(now.holdup),
		attrStep.ValueSet(now.step),
		attrPreemptions.ValueSet(now.preemptions),
		attrGoodput.ValueSet(now.goodput))
	if now.finished {
		updates = append(updates, attrBest.ValueSet(now.best))
	}
	upsertSearchAttributes(ctx, updates...)
	return true
}

// take takes in the outcome of a run, if it is finished.
func (a *searchAttributes) take(outcome *protocol.Outcome) {
	if outcome != nil {
		a.finished = true
		a.best = max(a.best, outcome.BestExactAccuracy)
	}
}

// upsertSearchAttributes sets search attributes. That it cannot is no reason to stop.
func upsertSearchAttributes(ctx workflow.Context, updates ...temporal.SearchAttributeUpdate) {
	if err := workflow.UpsertTypedSearchAttributes(ctx, updates...); err != nil {
		workflow.GetLogger(ctx).Warn("search attributes", "error", err)
	}
}
