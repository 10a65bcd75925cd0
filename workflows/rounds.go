package workflows

import (
	"fmt"
	"slices"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/workflow"

	"trmsweep/internal/experiment"
	"trmsweep/internal/queues"
	"trmsweep/internal/study"
)

// roundSize is the most experiments that are under way together: between rounds a
// long sweep continues as new, with nothing running that its history must remember.
var roundSize = 250 // tests make it smaller

// quietAbove experiments, a sweep hears of changes of status only, not of tenths.
const quietAbove = 50

// pending are the rows that nobody has started.
func (s *sweep) pending() []int {
	var rows []int
	for i, r := range s.res.Experiments {
		if r.Item.SameAs == "" && !study.Over(r.Status) && !s.launched[i] {
			rows = append(rows, i)
		}
	}
	return rows
}

// lookUp asks the store once for all pending runs and fills in the rows of those
// that are finished. Where it cannot be asked, every experiment asks for itself.
func (s *sweep) lookUp(ctx workflow.Context) {
	if s.in.Force {
		return
	}
	for rows := range slices.Chunk(s.pending(), roundSize) {
		items := make([]study.Item, len(rows))
		for k, i := range rows {
			items[k] = s.res.Experiments[i].Item
		}
		var sts []study.RunStatus
		err := workflow.ExecuteActivity(light(ctx, fmt.Sprintf("look for results of %d runs", len(rows))), acts.StatusAll, items).Get(ctx, &sts)
		if err != nil || len(sts) != len(rows) {
			return
		}
		for k, i := range rows {
			if sts[k].Error == "" && !s.res.Experiments[i].Reuse(sts[k]) {
				s.known[i] = &sts[k]
			}
		}
	}
}

// train runs the pending experiments, round by round, until nothing is left or
// the sweep is stopped. A history that has become long ends it with a continue-as-new.
func (s *sweep) train(ctx workflow.Context) error {
	work, cancel := workflow.WithCancel(ctx)
	s.work = work
	defer func() {
		s.work = nil
		cancel()
	}()
	s.watchBudget(work, cancel)
	if len(s.later) > 0 && (s.in.Parallelism == 0 || workflow.GetVersion(ctx, "phases-before-later", workflow.DefaultVersion, 1) == workflow.DefaultVersion) {
		s.launchLater()
	}
	for !s.closed && ctx.Err() == nil {
		round := s.round()
		for _, in := range round {
			s.launch(func(ctx workflow.Context) { s.phase(ctx, in) })
			s.launchLater() // behind a phase: it takes as many slots as it needs
			if s.in.Parallelism > 0 {
				s.quiet(ctx)
			}
		}
		s.launchLater()
		if len(round) == 0 {
			s.idle(ctx)
			break
		}
		s.quiet(ctx)
		if len(s.pending()) > 0 && !s.closed && ctx.Err() == nil && workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
			return s.continueAsNew(ctx)
		}
	}
	return nil
}

// watchBudget stops the sweep when its hours are used up.
func (s *sweep) watchBudget(ctx workflow.Context, cancel workflow.CancelFunc) {
	if s.in.BudgetHours <= 0 {
		return
	}
	left := time.Duration(s.in.BudgetHours*float64(time.Hour)) - workflow.Now(ctx).Sub(s.res.Started)
	workflow.Go(ctx, func(ctx workflow.Context) {
		if workflow.Sleep(ctx, left) == nil {
			s.closed = true
			s.note(fmt.Sprintf("stopped: the budget of %g hours is used up", s.in.BudgetHours))
			cancel()
		}
	})
}

// launch runs f beside the sweep, when training has begun; idle waits for it.
func (s *sweep) launch(f func(workflow.Context)) {
	if s.work == nil {
		s.later = append(s.later, f)
		return
	}
	s.open++
	workflow.Go(s.work, func(ctx workflow.Context) {
		defer func() { s.open-- }()
		f(ctx)
	})
}

// launchLater begins what was asked for before training.
func (s *sweep) launchLater() {
	later := s.later
	s.later = nil
	for _, f := range later {
		s.launch(f)
	}
}

// idle waits until nothing is under way, also when the sweep was cancelled and its experiments still save.
func (s *sweep) idle(ctx workflow.Context) {
	ctx, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	_ = workflow.Await(ctx, func() bool { return s.open == 0 })
}

// quiet waits until nothing is under way but what waits for an experiment to end,
// which may be one that has not begun.
func (s *sweep) quiet(ctx workflow.Context) {
	dctx, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	_ = workflow.Await(dctx, func() bool { return s.open == len(s.in.Extends) })
	if s.open > 0 && workflow.GetVersion(ctx, "extended-later", workflow.DefaultVersion, 1) == workflow.DefaultVersion {
		s.idle(ctx)
	}
}

// round is the next experiments as inputs of phases, in the order of the study.
func (s *sweep) round() []PhaseInput {
	rows := s.pending()
	rows = rows[:min(len(rows), roundSize)]
	byPhase := map[string][]int{}
	for _, i := range rows {
		p := s.res.Experiments[i].Item.Phase
		byPhase[p] = append(byPhase[p], i)
	}
	var out []PhaseInput
	for _, phase := range experiment.Phases {
		if len(byPhase[phase]) == 0 {
			continue
		}
		in := s.phaseInput(phase)
		for _, i := range byPhase[phase] {
			s.launched[i], s.begun[i] = true, true
			in.Items, in.Known = append(in.Items, s.res.Experiments[i].Item), append(in.Known, s.known[i])
		}
		out = append(out, in)
	}
	return out
}

// phaseInput is a phase without items.
func (s *sweep) phaseInput(phase string) PhaseInput {
	return PhaseInput{Sweep: s.res.Sweep, Phase: phase, Input: s.in.SweepInput, Code: s.res.Code, Quiet: len(s.res.Experiments) > quietAbove,
		Held: s.in.Held, Priorities: s.in.Priorities}
}

// phase runs one phase of a round as a child workflow and takes its rows in.
func (s *sweep) phase(ctx workflow.Context, in PhaseInput) {
	id := s.res.Sweep + "/" + in.Phase
	if s.phases[id] { // a later round
		id += "+" + in.Items[0].ID
	}
	s.phases[id] = true
	defer func() { s.ended[id] = true }()
	before := map[int]int{}
	for _, it := range in.Items {
		i := s.index[it.ID]
		s.phaseOf[i], before[i] = id, s.revived[i]
	}
	co := workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{WorkflowID: id, TaskQueue: queues.Workflows, StaticSummary: "phase " + in.Phase,
		WaitForCancellation: true, ParentClosePolicy: enumspb.PARENT_CLOSE_POLICY_REQUEST_CANCEL})
	var rows []study.ExperimentResult
	if err := workflow.ExecuteChildWorkflow(co, PhaseType, in).Get(ctx, &rows); err != nil && ctx.Err() == nil {
		s.note("phase " + in.Phase + ": " + rootMessage(err))
	}
	trained := false
	for _, r := range rows {
		if i := s.index[r.Item.ID]; s.revived[i] == before[i] {
			s.res.Experiments[i] = r
		}
		trained = trained || !r.Reused
	}
	s.show(ctx)
	if ctx.Err() == nil && trained {
		s.report(ctx, in.Phase, false)
	}
}

// busy is the number of slots that are taken. A phase gives the slot of one that ends
// to its next at once: it holds as many as it has experiments to go, up to the sweep's
// parallelism. By version 1 it was the rows with attempts behind them; before that, also
// those of them that wait here for a slot.
func (s *sweep) busy(version workflow.Version) int {
	solo, inPhases, attempted := 0, 0, 0
	for i, r := range s.res.Experiments {
		if r.Item.SameAs != "" || study.Over(r.Status) {
			continue
		}
		switch {
		case s.solo[i]:
			solo++
		case s.begun[i] && !s.ended[s.phaseOf[i]]:
			inPhases++
		}
		if r.Attempts > 0 && (version == workflow.DefaultVersion || s.begun[i]) || version == 1 && s.solo[i] {
			attempted++
		}
	}
	if version < 2 {
		return attempted
	}
	return solo + min(inPhases, s.in.Parallelism)
}

// continueAsNew goes on with a new history once nothing is running: an update that
// is still answered may start something, or end the sweep.
func (s *sweep) continueAsNew(ctx workflow.Context) error {
	if err := workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) }); err != nil {
		return err
	}
	if (s.open > len(s.in.Extends) || s.closed) && workflow.GetVersion(ctx, "idle-before-new-history", workflow.DefaultVersion, 1) != workflow.DefaultVersion {
		if err := workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) && s.open == len(s.in.Extends) }); err != nil || s.closed {
			return err
		}
	}
	in := s.in
	for i := range s.res.Experiments { // what only a running experiment needs
		p := &s.res.Experiments[i].Progress
		p.Goodput, p.Host, p.Note = nil, "", ""
	}
	in.Carried, in.Ladder = &s.res, s.halving.Accuracies
	return workflow.NewContinueAsNewError(ctx, workflow.GetInfo(ctx).WorkflowType.Name, in)
}
