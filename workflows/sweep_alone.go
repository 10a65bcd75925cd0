package workflows

import (
	"go.temporal.io/sdk/workflow"

	"trmsweep/activities"
	"trmsweep/internal/study"
)

// phaseInput is a phase without rows.
func (s *sweepState) phaseInput(phase string) PhaseInput {
	return PhaseInput{
		Sweep: s.head.Sweep,
		Phase: phase,
		Input: s.in.SweepInput,
		Code:  s.head.Code,
	}
}

// launch runs f beside the sweep as soon as it trains. awaitIdle waits for its end.
func (s *sweepState) launch(f func(workflow.Context)) {
	if s.training == nil {
		s.deferred = append(s.deferred, f)
		return
	}
	s.open++
	workflow.Go(s.training, func(ctx workflow.Context) {
		defer func() { s.open-- }()
		f(ctx)
	})
}

// launchDeferred begins what was asked for before training.
func (s *sweepState) launchDeferred() {
	deferred := s.deferred
	s.deferred = nil
	for _, f := range deferred {
		s.launch(f)
	}
}

// startAlone starts a row that was added.
func (s *sweepState) startAlone(r *row) {
	r.waitForSlot()
	s.launch(func(ctx workflow.Context) { s.runAlone(ctx, r, nil) })
}

// restart starts a failed, skipped or stopped experiment again from its last checkpoint.
func (s *sweepState) restart(r *row) bool {
	if r.result.Status == study.StatusDone {
		return false
	}
	r.reset()
	if r.stage == stagePending {
		return true // the next round takes it
	}
	before := r.result
	if s.in.Force && before.Attempts == 0 {
		before.ToForget = true
	}
	r.restarts++
	r.waitForSlot()
	s.launch(func(ctx workflow.Context) { s.runAlone(ctx, r, &before) })
	return true
}

// runAlone waits for a slot and runs one row without a phase. One that is started again gets what came before.
func (s *sweepState) runAlone(ctx workflow.Context, r *row, before *study.ExperimentResult) {
	restarts := r.restarts
	if most := s.in.Parallelism; most > 0 {
		_ = workflow.Await(ctx, func() bool { return s.slotsInUse() < most }) // if it is cancelled, so is the experiment
	}
	if r.restarts != restarts {
		return
	}
	if r.over() { // the user has skipped or stopped it meanwhile
		r.leave(restarts)
		return
	}
	r.stage = stageAlone
	child := startExperiment(ctx, s.phaseInput(r.result.Item.Phase), r.forPhase(), before)
	result := awaitExperiment(ctx, child, r.result)
	s.explain(ctx, &result)
	if r.restarts == restarts {
		r.result = result
		r.leave(restarts)
	}
	s.show(ctx)
}

// extendWhenOver makes a row go on from the end of another experiment.
func (s *sweepState) extendWhenOver(from, to *row) {
	to.waitForEnd(from)
	s.launch(func(ctx workflow.Context) { s.runExtension(ctx, from, to) })
}

// runExtension waits for the end of one experiment, hands its last checkpoint to another, and runs that.
func (s *sweepState) runExtension(ctx workflow.Context, from, to *row) {
	restarts := to.restarts
	err := workflow.Await(ctx, func() bool { return from.over() || to.over() })
	if to.restarts != restarts {
		return
	}
	if err != nil && !to.over() {
		to.result.Interrupt("")
		s.explain(ctx, &to.result)
	}
	if to.over() {
		to.leave(restarts)
		return
	}
	to.waitForSlot()
	in := activities.ForkInput{From: from.result.Item, To: to.result.Item}
	summary := "hand over the checkpoint of " + in.From.ID
	if err := workflow.ExecuteActivity(lightActivity(ctx, summary), acts.Fork, in).Get(ctx, nil); err != nil {
		to.result.Status = study.StatusFailed
		to.result.Error = rootMessage(err)
		to.leave(restarts)
		s.show(ctx)
		return
	}
	var before *study.ExperimentResult
	if s.in.Force { // the checkpoint that it has just got is not one to forget
		result := to.result
		before = &result
	}
	s.runAlone(ctx, to, before)
}
