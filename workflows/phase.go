package workflows

import (
	"go.temporal.io/sdk/workflow"

	"trmsweep/internal/study"
)

// PhaseType is the name of the workflow Phase.
const PhaseType = "Phase"

// phaseState is the state of one Phase workflow.
type phaseState struct {
	in   PhaseInput
	rows []*phaseRow
}

// phaseRow is one experiment of a phase.
type phaseRow struct {
	PhaseRow
	result study.ExperimentResult
	child  workflow.ChildWorkflowFuture // nil until it begins
}

// Phase runs its experiments, at most Parallelism at once, and returns a row
// for each; a failed one is a row with an error.
func Phase(ctx workflow.Context, in PhaseInput) ([]study.ExperimentResult, error) {
	p := &phaseState{in: in}
	for _, r := range in.Rows {
		result := study.ExperimentResult{Item: r.Item, Status: statusAtStart(r.Paused)}
		p.rows = append(p.rows, &phaseRow{PhaseRow: r, result: result})
	}
	if err := answerProgress(ctx, func() ([]study.ExperimentResult, error) { return p.results(), nil }); err != nil {
		return nil, err
	}
	p.show(ctx, study.StatusRunning)
	workflow.Go(ctx, p.handleCommands)
	slots := workflow.NewSemaphore(ctx, p.parallelism())
	experiments := workflow.NewWaitGroup(ctx)
	for _, r := range p.rows {
		if err := slots.Acquire(ctx, 1); err != nil {
			r.result.Interrupt("the phase was cancelled")
			continue
		}
		experiments.Add(1)
		workflow.Go(ctx, func(ctx workflow.Context) {
			defer experiments.Done()
			defer slots.Release(1)
			p.run(ctx, r)
		})
	}
	experiments.Wait(ctx)
	status := study.StatusDone
	if ctx.Err() != nil {
		status = study.StatusStopped
	}
	p.show(ctx, status)
	return p.results(), nil
}

// parallelism is how many experiments may run at once.
func (p *phaseState) parallelism() int64 {
	if p.in.Input.Parallelism > 0 {
		return int64(p.in.Input.Parallelism)
	}
	return int64(len(p.rows))
}

func (p *phaseState) results() []study.ExperimentResult {
	out := make([]study.ExperimentResult, len(p.rows))
	for i, r := range p.rows {
		out[i] = r.result
	}
	return out
}

// show sets the phase's search attributes.
func (p *phaseState) show(ctx workflow.Context, status string) {
	upsertSearchAttributes(ctx, attrSweep.ValueSet(p.in.Sweep), attrPhase.ValueSet(p.in.Phase), attrStatus.ValueSet(status))
}

// run runs one experiment, unless it was skipped or stopped before it began.
func (p *phaseState) run(ctx workflow.Context, r *phaseRow) {
	if study.Over(r.result.Status) {
		return
	}
	r.child = startExperiment(ctx, p.in, r.PhaseRow, nil)
	r.result = awaitExperiment(ctx, r.child, r.result)
	if ctx.Err() != nil {
		r.result.Because("the phase was cancelled")
	}
	p.tellSweep(ctx, r)
}

// tellSweep tells the sweep how an experiment stands that cannot say it itself: it has ended, or it has not begun.
func (p *phaseState) tellSweep(ctx workflow.Context, r *phaseRow) {
	connected, _ := workflow.NewDisconnectedContext(ctx)
	_ = workflow.SignalExternalWorkflow(connected, p.in.Sweep, "", SignalStanding, study.Standing{Restarts: r.Restarts, Result: r.result})
}

// handleCommands obeys commands for experiments that have not begun. It hands on what came
// while one began.
func (p *phaseState) handleCommands(ctx workflow.Context) {
	ch := workflow.GetSignalChannelWithOptions(ctx, SignalControl, aboutControl)
	for {
		var c study.Command
		ch.Receive(ctx, &c)
		for _, r := range p.rows {
			if len(c.Experiments) > 0 && c.Experiments[0] == r.Item.ID {
				p.obey(ctx, r, c)
			}
		}
	}
}

func (p *phaseState) obey(ctx workflow.Context, r *phaseRow, c study.Command) {
	if r.child != nil {
		workflow.Go(ctx, func(ctx workflow.Context) { _ = r.child.SignalChildWorkflow(ctx, SignalControl, c).Get(ctx, nil) })
		return
	}
	switch c.Action {
	case study.ActionPriority:
		r.Priority = c.Priority
	case study.ActionPause, study.ActionResume:
		r.Paused = c.Action == study.ActionPause
	}
	r.result.Status = c.StatusBeforeStart(r.result.Status)
	r.result.Reason = c.Reason
	p.tellSweep(ctx, r)
}
