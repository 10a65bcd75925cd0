// Package workflows is the study as Temporal sees it: sweeps of phases of
// experiments. Workflows are deterministic and thin; whatever touches files,
// storage or hosts is in activities.
package workflows

import (
	"encoding/json"
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"trmsweep/activities"
	"trmsweep/internal/preflight"
	"trmsweep/internal/protocol"
	"trmsweep/internal/queues"
	"trmsweep/internal/study"
)

// AllAblations runs the whole study. Input: study.SweepInput or nothing.
func AllAblations(ctx workflow.Context, raw json.RawMessage) (study.SweepResult, error) {
	return runSweep(ctx, AllAblationsType, raw)
}

// TNSweep runs the recursion depths T x n. Input: study.SweepInput or nothing.
func TNSweep(ctx workflow.Context, raw json.RawMessage) (study.SweepResult, error) {
	return runSweep(ctx, TNSweepType, raw)
}

// BatchSweep runs the batch sizes. Input: study.SweepInput or nothing.
func BatchSweep(ctx workflow.Context, raw json.RawMessage) (study.SweepResult, error) {
	return runSweep(ctx, BatchSweepType, raw)
}

// sweepInput is the user's input and, after a continue-as-new, what came before.
type sweepInput struct {
	study.SweepInput
	Carried    *study.SweepResult `json:"carried,omitempty"`
	Held       map[string]bool    `json:"held,omitempty"`       // item ID -> paused by the user
	Priorities map[string]int     `json:"priorities,omitempty"` // item ID -> priority of its own
	Ladder     map[int][]float64  `json:"ladder,omitempty"`     // of successive halving: rung -> accuracies
	Extends    map[string]string  `json:"extends,omitempty"`    // item ID -> ID of the experiment for whose end it waits, to go on from there
}

// sweep is the state of one sweep workflow. The slices and maps of rows go by their index in res.Experiments.
type sweep struct {
	in    sweepInput
	wrong []string // what is wrong with the input
	res   study.SweepResult
	index map[string]int // item ID -> row
	known map[int]*study.RunStatus
	shown visible

	work     workflow.Context         // of everything that trains; nil where nothing does
	later    []func(workflow.Context) // what waits for work
	open     int                      // phases and experiments under way
	launched map[int]bool             // no round takes the row any more
	begun    map[int]bool             // a phase or a child workflow has the row
	solo     map[int]bool             // rows that run without a phase
	revived  map[int]int              // how often a row was started anew: its phase's view of it is old
	phaseOf  map[int]string           // workflow id of the phase that runs the row
	phases   map[string]bool
	ended    map[string]bool // of phases
	halving  study.Halving
	closed   bool // nothing new is started: stopped, or out of budget
}

// runSweep is the study: plan, preflight, dataset, phases, report. A failed
// experiment is a line of the result, never the end of the sweep.
func runSweep(ctx workflow.Context, name string, raw json.RawMessage) (study.SweepResult, error) {
	s := &sweep{res: study.SweepResult{Sweep: workflow.GetInfo(ctx).WorkflowExecution.ID, Status: study.StatusRunning, Stage: "planning", Started: workflow.Now(ctx)},
		index: map[string]int{}, known: map[int]*study.RunStatus{}, launched: map[int]bool{}, begun: map[int]bool{}, solo: map[int]bool{}, revived: map[int]int{},
		phaseOf: map[int]string{}, phases: map[string]bool{}, ended: map[string]bool{}}
	s.wrong = study.DecodeStrict(raw, &s.in)
	s.wrong = append(s.wrong, s.in.SweepInput.Faults()...)
	s.wrong = append(s.wrong, activities.SweepFaults(s.res.Sweep)...)
	if s.in.Carried != nil {
		for _, r := range s.in.Carried.Experiments {
			s.wrong = append(s.wrong, activities.ItemFaults(r.Item)...)
		}
	}
	if s.in.Held == nil {
		s.in.Held = map[string]bool{}
	}
	if s.in.Priorities == nil {
		s.in.Priorities = map[string]int{}
	}
	if s.in.Extends == nil {
		s.in.Extends = map[string]string{}
	}
	s.halving = study.Halving{Factor: s.in.Halving, Accuracies: s.in.Ladder}
	if err := s.handlers(ctx); err != nil {
		return s.res, err
	}
	err := s.run(ctx, name)
	switch {
	case workflow.IsContinueAsNewError(err):
		return s.res, err
	case ctx.Err() != nil:
		s.res.Status, err = study.StatusStopped, ctx.Err()
	case err != nil:
		s.res.Status = study.StatusFailed
		s.note(s.res.Stage + ": " + rootMessage(err))
	}
	s.res.Stage = ""
	s.show(ctx)
	return s.res, err
}

// run is the sweep's steps; it ends in an error where nothing could be trained.
func (s *sweep) run(ctx workflow.Context, name string) error {
	if err := s.layOut(ctx, name); err != nil {
		return err
	}
	s.lookUp(ctx)
	if s.in.Carried == nil {
		if err := s.prepare(ctx); err != nil {
			return err
		}
	}
	for {
		s.stage(ctx, "training")
		if err := s.train(ctx); err != nil {
			return err
		}
		ended := study.StatusDone
		if s.closed {
			ended = study.StatusStopped
		}
		if workflow.GetVersion(ctx, "done-after-report", workflow.DefaultVersion, 1) == workflow.DefaultVersion {
			s.res.Status = ended
		}
		if ctx.Err() != nil {
			return nil
		}
		s.stage(ctx, "report")
		s.report(ctx, "all phases", true)
		if err := workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) }); err != nil {
			return nil
		}
		if len(s.later) == 0 && len(s.pending()) == 0 || s.closed { // else something was added meanwhile
			s.res.Status = ended
			return nil
		}
		s.res.Status = study.StatusRunning
	}
}

func (s *sweep) stage(ctx workflow.Context, name string) {
	s.res.Stage = name
	s.show(ctx)
}

// layOut makes a row for every experiment, out of the plan or what came before.
func (s *sweep) layOut(ctx workflow.Context, name string) error {
	if s.in.Carried != nil && len(s.wrong) == 0 {
		s.res = *s.in.Carried
		for i, r := range s.res.Experiments {
			s.index[r.Item.ID] = i
		}
		for _, to := range workflow.DeterministicKeys(s.in.Extends) {
			s.goOnLater(s.index[s.in.Extends[to]], s.index[to])
		}
		return nil
	}
	p, err := planStep(ctx, activities.PlanInput{Names: []string{name}, Input: s.in.SweepInput, Faults: s.wrong})
	if err != nil {
		return err
	}
	s.res.Profile, s.res.Code = p.Profile, p.Code
	s.add(p.Items)
	return workflow.UpsertMemo(ctx, map[string]any{"code": p.Code, "profile": p.Profile})
}

// add appends rows for items and returns where.
func (s *sweep) add(items []study.Item) []int {
	var rows []int
	for _, it := range items {
		i := len(s.res.Experiments)
		s.index[it.ID] = i
		s.res.Experiments = append(s.res.Experiments, study.ExperimentResult{Item: it, Status: study.StatusQueued})
		rows = append(rows, i)
	}
	return rows
}

// planStep resolves, validates and stores the specs; it names all faults of an input at once.
func planStep(ctx workflow.Context, in activities.PlanInput) (activities.Plan, error) {
	var p activities.Plan
	in.Sweep = workflow.GetInfo(ctx).WorkflowExecution.ID
	err := workflow.ExecuteActivity(light(ctx, fmt.Sprintf("resolve and validate %v", in.Names)), acts.Plan, in).Get(ctx, &p)
	return p, err
}

// light is the context of activities that never wait for a chip.
func light(ctx workflow.Context, summary string) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:           queues.Light,
		StartToCloseTimeout: 24 * time.Hour,
		HeartbeatTimeout:    30 * time.Second,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, MaximumInterval: time.Minute, MaximumAttempts: 20},
		Priority:            temporal.Priority{FairnessKey: fairnessKey(ctx)},
		Summary:             summary,
	})
}

// prepare is preflight and dataset, for what is left to train. A dataset that
// cannot be made is a note: other experiments may have theirs.
func (s *sweep) prepare(ctx workflow.Context) error {
	var left []study.Item
	for _, i := range s.pending() {
		left = append(left, s.res.Experiments[i].Item)
	}
	if len(left) == 0 {
		return nil
	}
	shapes := distinctShapes(left)
	if s.in.Preflight != study.PreflightNone {
		s.stage(ctx, "preflight")
		if err := s.passed(hostChecks(ctx, left)); err != nil {
			return err
		}
	}
	s.stage(ctx, "dataset")
	if err := makeDatasets(ctx, left); err != nil {
		s.note("dataset: " + rootMessage(err))
		return nil // trials would only say the same
	}
	if s.in.Preflight == "" || s.in.Preflight == study.PreflightFull {
		s.stage(ctx, "trials")
		return s.passed(trials(ctx, shapes))
	}
	return nil
}

// passed takes answers of preflight in and is an error where one is no.
func (s *sweep) passed(rows []preflight.Row) error {
	s.res.Preflight = append(s.res.Preflight, rows...)
	t := preflight.Table{OK: true}
	t.Add(s.res.Preflight...)
	return preflightError(t)
}

// note keeps what a user should know; failures of Temporal may be long.
func (s *sweep) note(text string) {
	s.res.Notes = append(s.res.Notes, text[:min(len(text), 2000)])
}

// report writes the report of what is finished so far.
func (s *sweep) report(ctx workflow.Context, what string, final bool) {
	s.res.Tally()
	in := activities.ReportInput{Sweep: s.res.Sweep, Failures: map[string]string{}, Stopped: map[string]string{}, Goodput: s.res.Goodput, Books: map[string]protocol.Accounting{}, Final: final}
	for _, r := range s.res.Experiments {
		in.Items = append(in.Items, r.Item)
		if r.WallSeconds > 0 {
			in.Books[r.Item.ID] = protocol.Accounting{WallSeconds: r.WallSeconds, Goodput: r.Goodput, FromStep: r.StartStep, Preemptions: r.Preemptions, LostSteps: r.LostSteps}
		}
		if r.Error != "" {
			in.Failures[r.Item.ID] = r.Error[:min(len(r.Error), 300)]
		}
		if why := r.EndedEarly(); why != "" {
			in.Stopped[r.Item.ID] = why[:min(len(why), 300)]
		}
	}
	var out activities.ReportResult
	if err := workflow.ExecuteActivity(light(ctx, "report after "+what), acts.Report, in).Get(ctx, &out); err != nil {
		s.note("report: " + rootMessage(err))
		return
	}
	s.res.Reports = out.Keys
}
