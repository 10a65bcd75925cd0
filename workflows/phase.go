package workflows

import (
	"errors"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"trmsweep/internal/queues"
	"trmsweep/internal/study"
)

// phase is the state of one Phase workflow.
type phase struct {
	in       PhaseInput
	rows     []study.ExperimentResult
	children map[string]workflow.ChildWorkflowFuture // item ID -> the experiment, where it has begun
}

// Phase runs its experiments, at most Parallelism at once, and returns a row
// for each; a failed one is a row with an error.
func Phase(ctx workflow.Context, in PhaseInput) ([]study.ExperimentResult, error) {
	p := &phase{in: in, children: map[string]workflow.ChildWorkflowFuture{}}
	if p.in.Held == nil {
		p.in.Held = map[string]bool{}
	}
	if p.in.Priorities == nil {
		p.in.Priorities = map[string]int{}
	}
	for _, it := range in.Items {
		r := study.ExperimentResult{Item: it, Status: study.StatusQueued}
		if in.Held[it.ID] {
			r.Status = study.StatusPaused
		}
		p.rows = append(p.rows, r)
	}
	if err := workflow.SetQueryHandler(ctx, QueryProgress, func() ([]study.ExperimentResult, error) { return p.rows, nil }); err != nil {
		return nil, err
	}
	show := func(string) {}
	if workflow.GetVersion(ctx, "phase-status", workflow.DefaultVersion, 1) != workflow.DefaultVersion {
		show = func(status string) { p.show(ctx, status) }
	}
	show(study.StatusRunning)
	p.listen(ctx)
	limit := int64(in.Input.Parallelism)
	if limit == 0 {
		limit = int64(len(in.Items))
	}
	slots := workflow.NewSemaphore(ctx, limit)
	wg := workflow.NewWaitGroup(ctx)
	for i := range p.rows {
		if err := slots.Acquire(ctx, 1); err != nil {
			p.rows[i].Status = study.StatusStopped
			continue
		}
		wg.Add(1)
		workflow.Go(ctx, func(ctx workflow.Context) {
			defer wg.Done()
			defer slots.Release(1)
			p.experiment(ctx, i)
		})
	}
	wg.Wait(ctx)
	if ctx.Err() != nil {
		show(study.StatusStopped)
	} else {
		show(study.StatusDone)
	}
	return p.rows, nil
}

// show sets the phase's search attributes.
func (p *phase) show(ctx workflow.Context, status string) {
	if err := workflow.UpsertTypedSearchAttributes(ctx, attrSweep.ValueSet(p.in.Sweep), attrPhase.ValueSet(p.in.Phase), attrStatus.ValueSet(status)); err != nil {
		workflow.GetLogger(ctx).Warn("search attributes", "error", err)
	}
}

// listen takes in what the user wants of experiments that have not begun, and
// hands on what came while one began.
func (p *phase) listen(ctx workflow.Context) {
	workflow.Go(ctx, func(ctx workflow.Context) {
		ch := workflow.GetSignalChannel(ctx, SignalControl)
		for {
			var c study.Command
			ch.Receive(ctx, &c)
			for i := range p.rows {
				if len(c.Experiments) > 0 && c.Experiments[0] == p.rows[i].Item.ID {
					p.take(ctx, i, c)
				}
			}
		}
	})
}

func (p *phase) take(ctx workflow.Context, i int, c study.Command) {
	r := &p.rows[i]
	id := r.Item.ID
	if child := p.children[id]; child != nil {
		workflow.Go(ctx, func(ctx workflow.Context) { _ = child.SignalChildWorkflow(ctx, SignalControl, c).Get(ctx, nil) })
		return
	}
	switch c.Action {
	case study.ActionPriority:
		p.in.Priorities[id] = c.Priority
	case study.ActionPause, study.ActionResume:
		p.in.Held[id] = c.Action == study.ActionPause
	}
	r.Status, r.Reason = c.StatusBeforeStart(r.Status), c.Reason
	_ = workflow.SignalExternalWorkflow(ctx, p.in.Sweep, "", SignalRows, []study.ExperimentResult{*r})
}

func (p *phase) experiment(ctx workflow.Context, i int) {
	r := &p.rows[i]
	if study.Over(r.Status) { // skipped or stopped before it began
		return
	}
	st := start{}
	if i < len(p.in.Known) {
		st.known = p.in.Known[i]
	}
	child := startExperiment(ctx, p.in, r.Item, st)
	p.children[r.Item.ID] = child
	*r = endExperiment(ctx, child, *r)
}

// start is how an experiment begins.
type start struct {
	known   *study.RunStatus
	carried *study.ExperimentResult
}

// startExperiment runs one experiment as a child.
func startExperiment(ctx workflow.Context, in PhaseInput, it study.Item, st start) workflow.ChildWorkflowFuture {
	co := workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID:          in.Sweep + "/" + in.Phase + "/" + it.ID,
		TaskQueue:           queues.Workflows,
		WaitForCancellation: true,
		ParentClosePolicy:   enumspb.PARENT_CLOSE_POLICY_REQUEST_CANCEL,
		Memo:                map[string]any{"spec_hash": it.SpecHash, "run": it.Run, "code": in.Code},
		StaticSummary:       it.Experiment,
	})
	priority := in.Priorities[it.ID]
	if priority == 0 {
		priority = in.Input.Priority
	}
	return workflow.ExecuteChildWorkflow(co, ExperimentType, ExperimentInput{Item: &it, Sweep: in.Sweep, Known: st.known, Carried: st.carried, Paused: in.Held[it.ID],
		Quiet: in.Quiet, Force: in.Input.Force && st.carried == nil, Priority: priority,
		StopOnCollapse: in.Input.StopOnCollapse, TellEvals: in.Input.Halving > 0})
}

// endExperiment waits for an experiment and returns its row, whatever became of it.
func endExperiment(ctx workflow.Context, child workflow.ChildWorkflowFuture, row study.ExperimentResult) study.ExperimentResult {
	it := row.Item
	var out study.ExperimentResult
	err := child.Get(ctx, &out)
	if err == nil {
		return out
	}
	var app *temporal.ApplicationError
	var cancelled *temporal.CanceledError
	switch {
	case errors.As(err, &app) && app.HasDetails():
		_ = app.Details(&row)
	case errors.As(err, &cancelled) && cancelled.HasDetails():
		_ = cancelled.Details(&row)
	}
	row.Item = it
	row.Status = study.StatusStopped
	if ctx.Err() == nil && !temporal.IsCanceledError(err) {
		row.Status, row.Error = study.StatusFailed, rootMessage(err)
	}
	return row
}

// rootMessage is what went wrong, without the layers of workflows above it.
func rootMessage(err error) string {
	var app *temporal.ApplicationError
	if errors.As(err, &app) {
		return app.Message()
	}
	return err.Error()
}
