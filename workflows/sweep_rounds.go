package workflows

import (
	"fmt"
	"slices"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/workflow"

	"trmsweep/activities"
	"trmsweep/internal/experiment"
	"trmsweep/internal/queues"
	"trmsweep/internal/standing"
	"trmsweep/internal/study"
)

// roundSize is the most experiments that are under way together. Between rounds a long
// sweep continues as new, with nothing running that its history must remember.
var roundSize = 250 // tests make it smaller

// lookUp asks the store once for all pending runs and fills in the rows of those that are
// finished. If it cannot be asked, every experiment asks for itself.
func (s *sweepState) lookUp(ctx workflow.Context) {
	if s.in.Force {
		return
	}
	for rows := range slices.Chunk(s.pending(), roundSize) {
		items := make([]study.Item, len(rows))
		for i, r := range rows {
			items[i] = r.result.Item
		}
		var statuses []study.RunStatus
		summary := fmt.Sprintf("look for results of %d runs", len(rows))
		err := workflow.ExecuteActivity(lightActivity(ctx, summary), acts.StatusAll, items).Get(ctx, &statuses)
		if err != nil || len(statuses) != len(rows) {
			return
		}
		for i, r := range rows {
			if statuses[i].Error == "" && !r.result.Reuse(statuses[i]) {
				r.known = &statuses[i]
			}
		}
	}
}

// train runs the pending experiments, round by round, until nothing is left or
// the sweep is stopped. A history that has become long ends it with a continue-as-new.
func (s *sweepState) train(ctx workflow.Context) error {
	training, cancel := workflow.WithCancel(ctx)
	s.training = training
	defer func() {
		s.training = nil
		cancel()
	}()
	s.watchBudget(training, cancel)
	workflow.Go(training, s.refresh)
	if s.in.Parallelism == 0 {
		s.launchDeferred()
	}
	for !s.closed && ctx.Err() == nil {
		begun := s.runRound(ctx)
		s.launchDeferred()
		if begun == 0 {
			s.awaitEnd(ctx)
			break
		}
		s.awaitIdle(ctx)
		goOn := len(s.pending()) > 0 && !s.closed && ctx.Err() == nil
		if goOn && workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
			return s.continueAsNew(ctx)
		}
	}
	return nil
}

// watchBudget stops the sweep when its hours are used up.
func (s *sweepState) watchBudget(ctx workflow.Context, cancel workflow.CancelFunc) {
	if s.in.BudgetHours <= 0 {
		return
	}
	left := time.Duration(s.in.BudgetHours*float64(time.Hour)) - workflow.Now(ctx).Sub(s.head.Started)
	workflow.Go(ctx, func(ctx workflow.Context) {
		if workflow.Sleep(ctx, left) == nil {
			s.closed = true
			s.outOfBudget = true
			s.note("stopped: " + s.whyCancelled())
			cancel()
		}
	})
}

// whyCancelled is why the sweep has cancelled what trains.
func (s *sweepState) whyCancelled() string {
	if s.outOfBudget {
		return fmt.Sprintf("the budget of %g hours is used up", s.in.BudgetHours)
	}
	return "the sweep was cancelled"
}

// explain gives the reason to a row that has ended because the sweep has cancelled what trains.
func (s *sweepState) explain(ctx workflow.Context, r *study.ExperimentResult) {
	if ctx.Err() != nil {
		r.Because(s.whyCancelled())
	}
}

// awaitEnd waits until nothing is under way, also when the sweep was cancelled and its experiments still save.
func (s *sweepState) awaitEnd(ctx workflow.Context) {
	connected, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	_ = workflow.Await(connected, func() bool { return s.open == 0 })
}

// awaitIdle waits until nothing is under way but rows that wait for the end of an experiment,
// which may be one that has not begun.
func (s *sweepState) awaitIdle(ctx workflow.Context) {
	connected, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	_ = workflow.Await(connected, func() bool { return s.open == s.extending() })
}

// runRound begins the next experiments, phase by phase in the order of the study, and returns
// how many. With a parallelism of its own, a sweep has one phase at a time.
func (s *sweepState) runRound(ctx workflow.Context) int {
	round := s.pending()
	round = round[:min(len(round), roundSize)]
	begun := 0
	for _, phase := range experiment.Phases {
		rows := slices.DeleteFunc(slices.Clone(round), func(r *row) bool { return r.result.Item.Phase != phase || !r.pending() })
		if len(rows) == 0 {
			continue
		}
		begun += len(rows)
		s.launchPhase(phase, rows)
		if s.in.Parallelism > 0 {
			s.launchDeferred() // behind a phase, which takes as many slots as it needs
			s.awaitIdle(ctx)
		}
	}
	return begun
}

// launchPhase gives rows to a phase and runs it beside the sweep.
func (s *sweepState) launchPhase(phase string, rows []*row) {
	id := s.head.Sweep + "/" + phase
	if s.phases[id] { // a later round
		id += "+" + rows[0].id()
	}
	s.phases[id] = true
	in := s.phaseInput(phase)
	for _, r := range rows {
		r.enterPhase(id)
		in.Rows = append(in.Rows, r.forPhase())
	}
	s.launch(func(ctx workflow.Context) { s.runPhase(ctx, id, in, rows) })
}

// runPhase runs one phase of a round as a child workflow and takes its results in.
func (s *sweepState) runPhase(ctx workflow.Context, id string, in PhaseInput, rows []*row) {
	restarts := map[string]int{}
	for _, r := range rows {
		restarts[r.id()] = r.restarts
	}
	child := workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID:          id,
		TaskQueue:           queues.Workflows,
		StaticSummary:       "phase " + in.Phase,
		WaitForCancellation: true,
		ParentClosePolicy:   enumspb.PARENT_CLOSE_POLICY_REQUEST_CANCEL,
	})
	future := workflow.ExecuteChildWorkflow(child, PhaseType, in)
	var results []study.ExperimentResult
	if err := future.Get(ctx, &results); err != nil {
		results = s.endsWithoutPhase(ctx, future, err, rows)
	}
	trained := false
	for _, result := range results {
		r := s.byID[result.Item.ID]
		s.explain(ctx, &result)
		if r.restarts == restarts[r.id()] {
			r.result = result
		}
		trained = trained || !result.Reused
	}
	for _, r := range rows {
		r.leave(restarts[r.id()])
	}
	s.show(ctx)
	if ctx.Err() == nil && trained {
		s.report(ctx, in.Phase)
	}
}

// endsWithoutPhase is what became of the rows of a phase that has ended without a result: it was terminated, for
// example. The server has asked its experiments to end, which save first.
func (s *sweepState) endsWithoutPhase(
	ctx workflow.Context, phase workflow.ChildWorkflowFuture, err error, rows []*row,
) []study.ExperimentResult {
	why := "the phase " + standing.EndOf(nil, err).Phrase()
	if ctx.Err() == nil {
		s.note(rows[0].result.Item.Phase + ": " + why)
	}
	s.show(ctx)
	connected, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	var execution workflow.Execution
	_ = phase.GetChildWorkflowExecution().Get(connected, &execution) // none: it never began, nor did its experiments
	in := activities.EndsInput{PhaseRun: execution.RunID}
	for _, r := range rows {
		in.Workflows = append(in.Workflows, experimentID(s.head.Sweep, r.result.Item))
	}
	ends := make([]study.End, len(rows))
	var answer []study.End
	summary := fmt.Sprintf("what became of %d experiments: %s", len(rows), why)
	err = workflow.ExecuteActivity(lightActivity(connected, summary), acts.Ends, in).Get(connected, &answer)
	if err != nil {
		s.note("what became of the experiments is not known: " + rootMessage(err))
	}
	copy(ends, answer)
	var results []study.ExperimentResult
	for i, r := range rows {
		result := r.result
		if !r.over() {
			if ends[i].How == study.ServerTerminated {
				askStore(ctx, &result)
			}
			result = result.After(ends[i])
			result.Because(why)
		}
		results = append(results, result)
	}
	return results
}

// continueAsNew goes on with a new history once nothing is running: an update that
// is still answered may start something, or end the sweep.
func (s *sweepState) continueAsNew(ctx workflow.Context) error {
	idle := func() bool { return s.handled(ctx) && s.open == s.extending() }
	if err := workflow.Await(ctx, idle); err != nil || s.closed {
		return err
	}
	res := s.result()
	for i := range res.Experiments { // what only a running experiment needs
		p := &res.Experiments[i].Progress
		p.Goodput = nil
		p.Host = ""
		p.Note = ""
	}
	in := s.in
	in.Carried = &res
	in.Rungs = s.halving.Accuracies
	in.Rows = map[string]carriedRow{}
	for _, r := range s.rows {
		if c := r.carry(); c != (carriedRow{}) {
			in.Rows[r.id()] = c
		}
	}
	return workflow.NewContinueAsNewError(ctx, workflow.GetInfo(ctx).WorkflowType.Name, in)
}
