package workflows

import (
	"encoding/json"

	"go.temporal.io/sdk/workflow"

	"trmsweep/activities"
	"trmsweep/internal/preflight"
	"trmsweep/internal/study"
)

// Names of the types of sweeps, as users start them.
const (
	AllAblationsType = "AllAblations"
	TNSweepType      = "TNSweep"
	BatchSweepType   = "BatchSweep"
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

// runSweep is the study: plan, preflight, dataset, phases, report. A failed
// experiment is a line of the result, never the end of the sweep.
func runSweep(ctx workflow.Context, name string, raw json.RawMessage) (study.SweepResult, error) {
	s := newSweep(ctx, raw)
	if err := s.handlers(ctx); err != nil {
		return s.result(), err
	}
	err := s.run(ctx, name)
	switch {
	case workflow.IsContinueAsNewError(err):
		return s.result(), err
	case ctx.Err() != nil:
		err = ctx.Err()
		s.reportBrokenOff(ctx, "was cancelled")
		s.head.Status = study.StatusStopped
	case err != nil:
		why := s.head.Stage + ": " + rootMessage(err)
		s.note(why)
		s.reportBrokenOff(ctx, "failed in its stage "+why)
		s.head.Status = study.StatusFailed
	}
	s.head.Stage = ""
	s.show(ctx)
	return s.result(), err
}

// newSweep reads the input.
func newSweep(ctx workflow.Context, raw json.RawMessage) *sweepState {
	s := &sweepState{byID: map[string]*row{}, phases: map[string]bool{}}
	s.head = study.SweepResult{
		Sweep:   workflow.GetInfo(ctx).WorkflowExecution.ID,
		Status:  study.StatusRunning,
		Stage:   "planning",
		Started: workflow.Now(ctx),
	}
	s.faults = study.DecodeStrict(raw, &s.in)
	s.faults = append(s.faults, s.in.SweepInput.Faults()...)
	s.faults = append(s.faults, activities.SweepFaults(s.head.Sweep)...)
	if s.in.Carried != nil {
		for _, r := range s.in.Carried.Experiments {
			s.faults = append(s.faults, activities.ItemFaults(r.Item)...)
		}
	}
	s.halving = study.Halving{Factor: s.in.Halving, Accuracies: s.in.Rungs}
	return s
}

// run is the sweep's steps. It ends in an error if nothing could be trained.
func (s *sweepState) run(ctx workflow.Context, name string) error {
	if s.in.Carried != nil && len(s.faults) == 0 {
		s.restore()
	} else if err := s.plan(ctx, name); err != nil {
		return err
	}
	s.lookUp(ctx)
	if s.in.Carried == nil {
		if err := s.prepare(ctx); err != nil {
			return err
		}
	}
	for {
		s.enterStage(ctx, study.StageTraining)
		if err := s.train(ctx); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
		status := s.statusAtEnd()
		ended := ""
		if s.closed {
			ended = "was stopped before all of it was trained"
		}
		s.enterStage(ctx, "report")
		s.finalReport(ctx, ended)
		if err := workflow.Await(ctx, func() bool { return s.handled(ctx) }); err != nil {
			return nil
		}
		addedMeanwhile := len(s.deferred) > 0 || len(s.pending()) > 0
		if s.closed || !addedMeanwhile {
			s.head.Status = status
			return nil
		}
	}
}

// statusAtEnd is the status of the sweep if nothing else is asked of it.
func (s *sweepState) statusAtEnd() string {
	if s.closed {
		return study.StatusStopped
	}
	res := s.result()
	return res.Ended()
}

// enterStage shows what the sweep does now.
func (s *sweepState) enterStage(ctx workflow.Context, name string) {
	s.head.Stage = name
	s.show(ctx)
}

// plan makes a row for every experiment.
func (s *sweepState) plan(ctx workflow.Context, name string) error {
	p, err := plan(ctx, activities.PlanInput{Names: []string{name}, Input: s.in.SweepInput, Faults: s.faults})
	if err != nil {
		return err
	}
	s.head.Profile = p.Profile
	s.head.Code = p.Code
	s.add(p.Items...)
	return workflow.UpsertMemo(ctx, map[string]any{"code": p.Code, "profile": p.Profile})
}

// restore makes the rows as they were before a continue-as-new.
func (s *sweepState) restore() {
	s.head = *s.in.Carried
	s.head.Experiments = nil
	for _, result := range s.in.Carried.Experiments {
		r := s.add(result.Item)[0]
		r.result = result
		carried := s.in.Rows[r.id()]
		r.paused = carried.Paused
		r.priority = carried.Priority
	}
	for _, to := range s.rows {
		if from := s.byID[s.in.Rows[to.id()].Extends]; from != nil {
			s.extendWhenOver(from, to)
		}
	}
}

// prepare is preflight and dataset, for what is left to train. A dataset that
// cannot be made is a note: other experiments may have theirs.
func (s *sweepState) prepare(ctx workflow.Context) error {
	var items []study.Item
	for _, r := range s.pending() {
		items = append(items, r.result.Item)
	}
	if len(items) == 0 {
		return nil
	}
	if s.in.Preflight != study.PreflightNone {
		s.enterStage(ctx, "preflight")
		if err := s.addChecks(hostChecks(ctx, items)); err != nil {
			return err
		}
	}
	s.enterStage(ctx, "dataset")
	if err := makeDatasets(ctx, items); err != nil {
		s.note("dataset: " + rootMessage(err))
		return nil // trials would only say the same
	}
	if s.in.Preflight == "" || s.in.Preflight == study.PreflightFull {
		s.enterStage(ctx, "trials")
		return s.addChecks(trials(ctx, distinctShapes(items)))
	}
	return nil
}

// addChecks takes answers of preflight in. It is an error if one is no.
func (s *sweepState) addChecks(rows []preflight.Row) error {
	s.head.Preflight = append(s.head.Preflight, rows...)
	t := preflight.Table{OK: true}
	t.Add(s.head.Preflight...)
	return preflightError(t)
}
