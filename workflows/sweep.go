// Package workflows is the study as Temporal sees it: sweeps of phases of
// experiments. Workflows are deterministic and thin; whatever touches files,
// storage or hosts is in activities.
package workflows

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"trmsweep/activities"
	"trmsweep/internal/experiment"
	"trmsweep/internal/queues"
)

// phaseSize is the most experiments of one Phase workflow: about 2,500 events.
const phaseSize = 250

// AllAblations runs the whole study. Input: activities.SweepInput or nothing.
func AllAblations(ctx workflow.Context, raw json.RawMessage) (SweepResult, error) {
	return runSweep(ctx, AllAblationsType, raw)
}

// TNSweep runs the recursion depths T x n. Input: activities.SweepInput or nothing.
func TNSweep(ctx workflow.Context, raw json.RawMessage) (SweepResult, error) {
	return runSweep(ctx, TNSweepType, raw)
}

// BatchSweep runs the batch sizes. Input: activities.SweepInput or nothing.
func BatchSweep(ctx workflow.Context, raw json.RawMessage) (SweepResult, error) {
	return runSweep(ctx, BatchSweepType, raw)
}

// sweep is the state of one sweep workflow.
type sweep struct {
	in     activities.SweepInput
	plan   activities.Plan
	res    SweepResult
	index  map[string]int // item ID -> row
	shown  visible
	closed bool // no new phases: stopped or out of budget
}

// runSweep is the study: plan, dataset, phases, report. A failed experiment is
// a line of the result, never the end of the sweep.
func runSweep(ctx workflow.Context, name string, raw json.RawMessage) (SweepResult, error) {
	s := &sweep{res: SweepResult{Sweep: workflow.GetInfo(ctx).WorkflowExecution.ID, Status: StatusRunning}, index: map[string]int{}}
	if err := decode(raw, &s.in); err != nil {
		return s.res, err
	}
	if err := check(s.in); err != nil {
		return s.res, err
	}
	if err := s.handlers(ctx); err != nil {
		return s.res, err
	}
	err := s.run(ctx, name)
	switch {
	case ctx.Err() != nil:
		s.res.Status, err = StatusStopped, ctx.Err()
	case err != nil:
		s.res.Status = StatusFailed
		s.res.Notes = append(s.res.Notes, s.res.Stage+": "+rootMessage(err))
	}
	s.res.Stage = ""
	s.show(ctx)
	return s.res, err
}

// run is the sweep's steps; only a sweep that cannot be planned ends in an error.
func (s *sweep) run(ctx workflow.Context, name string) error {
	var err error
	s.res.Stage = "planning"
	if s.plan, err = planStep(ctx, []string{name}, s.in); err != nil {
		return err
	}
	s.rows()
	s.stage(ctx, "dataset")
	s.dataset(ctx)
	s.stage(ctx, "training")
	s.phases(ctx)
	s.res.Status = StatusDone
	if s.closed {
		s.res.Status = StatusStopped
	}
	if ctx.Err() == nil {
		s.stage(ctx, "report")
		s.report(ctx, "all phases", true)
	}
	return nil
}

func (s *sweep) stage(ctx workflow.Context, name string) {
	s.res.Stage = name
	s.show(ctx)
}

// planStep resolves, validates and stores the specs.
func planStep(ctx workflow.Context, names []string, in activities.SweepInput) (activities.Plan, error) {
	var p activities.Plan
	err := workflow.ExecuteActivity(light(ctx, fmt.Sprintf("resolve and validate %v", names)), acts.Plan,
		activities.PlanInput{Names: names, Input: in, Sweep: workflow.GetInfo(ctx).WorkflowExecution.ID}).Get(ctx, &p)
	return p, err
}

// light is the context of activities that never wait for a chip.
func light(ctx workflow.Context, summary string) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:           queues.Light,
		StartToCloseTimeout: 24 * time.Hour,
		HeartbeatTimeout:    10 * time.Minute,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, MaximumInterval: time.Minute, MaximumAttempts: 20},
		Summary:             summary,
	})
}

// rows lays out the result: one row per planned experiment.
func (s *sweep) rows() {
	s.res.Profile = s.plan.Profile
	for i, it := range s.plan.Items {
		s.index[it.ID] = i
		s.res.Experiments = append(s.res.Experiments, ExperimentResult{Item: it, Status: StatusQueued})
	}
}

// dataset makes the data once, before hosts ask for it. Where it fails the
// training processes try themselves, so it is a note.
func (s *sweep) dataset(ctx workflow.Context) {
	in := activities.DatasetInput{}
	for _, it := range s.plan.Items {
		if it.SameAs == "" {
			in.SpecKeys = append(in.SpecKeys, it.SpecKey)
		}
	}
	co := workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{WorkflowID: s.res.Sweep + "/dataset", TaskQueue: queues.Workflows, StaticSummary: "dataset"})
	if err := workflow.ExecuteChildWorkflow(co, DatasetGenerationType, DatasetGenerationInput{SpecKeys: in.SpecKeys}).Get(ctx, nil); err != nil {
		s.note("dataset: " + rootMessage(err))
	}
}

// phases runs the phases: all at once when the hosts' queue does the packing,
// one after another under a parallelism limit.
func (s *sweep) phases(ctx workflow.Context) {
	pctx, cancel := workflow.WithCancel(ctx)
	defer cancel()
	wg := workflow.NewWaitGroup(ctx)
	if s.in.BudgetHours > 0 {
		workflow.Go(pctx, func(ctx workflow.Context) {
			if workflow.Sleep(ctx, time.Duration(s.in.BudgetHours*float64(time.Hour))) == nil {
				s.closed = true
				s.note(fmt.Sprintf("stopped: the budget of %g hours is used up", s.in.BudgetHours))
				cancel()
			}
		})
	}
	for _, in := range s.split() {
		if s.closed {
			break
		}
		wg.Add(1)
		workflow.Go(pctx, func(ctx workflow.Context) {
			defer wg.Done()
			s.phase(ctx, in)
		})
		if s.in.Parallelism > 0 {
			wg.Wait(ctx)
		}
	}
	wg.Wait(ctx)
}

// split cuts the plan into Phase inputs, in the order of the study.
func (s *sweep) split() []PhaseInput {
	var out []PhaseInput
	for _, phase := range experiment.Phases {
		var items []activities.Item
		for _, it := range s.plan.Items {
			if it.Phase == phase && it.SameAs == "" {
				items = append(items, it)
			}
		}
		for chunk := range slices.Chunk(items, phaseSize) {
			out = append(out, PhaseInput{Sweep: s.res.Sweep, Phase: phase, Items: chunk, Input: s.in})
		}
	}
	return out
}

func (s *sweep) phase(ctx workflow.Context, in PhaseInput) {
	id := s.res.Sweep + "/" + in.Phase
	if first := s.plan.Items[s.index[in.Items[0].ID]]; first.ID != s.firstOf(in.Phase) {
		id += "+" + first.ID
	}
	co := workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{WorkflowID: id, TaskQueue: queues.Workflows, StaticSummary: "phase " + in.Phase,
		WaitForCancellation: true, ParentClosePolicy: enumspb.PARENT_CLOSE_POLICY_REQUEST_CANCEL})
	var rows []ExperimentResult
	if err := workflow.ExecuteChildWorkflow(co, PhaseType, in).Get(ctx, &rows); err != nil && ctx.Err() == nil {
		s.note("phase " + in.Phase + ": " + rootMessage(err))
	}
	trained := false
	for _, r := range rows {
		s.res.Experiments[s.index[r.Item.ID]] = r
		trained = trained || !r.Reused
	}
	s.show(ctx)
	if ctx.Err() == nil && trained {
		s.report(ctx, in.Phase, false)
	}
}

func (s *sweep) firstOf(phase string) string {
	for _, it := range s.plan.Items {
		if it.Phase == phase && it.SameAs == "" {
			return it.ID
		}
	}
	return ""
}

// note keeps what a user should know; failures of Temporal may be long.
func (s *sweep) note(text string) {
	s.res.Notes = append(s.res.Notes, text[:min(len(text), 2000)])
}

// report writes the report of what is finished so far.
func (s *sweep) report(ctx workflow.Context, what string, final bool) {
	s.res.Tally()
	in := activities.ReportInput{Sweep: s.res.Sweep, Items: s.plan.Items, Failures: map[string]string{}, Goodput: s.res.Goodput, Final: final}
	for _, r := range s.res.Experiments {
		if r.Error != "" {
			in.Failures[r.Item.ID] = r.Error[:min(len(r.Error), 300)]
		}
	}
	var out activities.ReportResult
	if err := workflow.ExecuteActivity(light(ctx, "report after "+what), acts.Report, in).Get(ctx, &out); err != nil {
		s.note("report: " + rootMessage(err))
		return
	}
	s.res.Reports = out.Keys
}
