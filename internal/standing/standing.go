// Package standing asks the Temporal server how experiments and sweeps stand. What a workflow said last may be
// long outdated, or it could not say its end: then the server knows better. Only clients and activities ask; a
// workflow uses EndOf, which asks nobody.
package standing

import (
	"context"
	"errors"
	"fmt"
	"path"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/types/known/timestamppb"

	"trmsweep/internal/protocol"
	"trmsweep/internal/study"
)

// EndOf is the end of an experiment or a phase of which a parent or a client got this result and this error.
func EndOf(result *study.ExperimentResult, err error) study.End {
	var app *temporal.ApplicationError
	var cancelled *temporal.CanceledError
	var terminated *temporal.TerminatedError
	var timeout *temporal.TimeoutError
	switch {
	case err == nil:
		return study.End{How: study.ServerCompleted, Result: result}
	case errors.As(err, &terminated):
		return study.End{How: study.ServerTerminated}
	case errors.As(err, &timeout):
		return study.End{How: study.ServerTimedOut}
	case errors.As(err, &app):
		return study.End{How: study.ServerFailed, Message: app.Message(), Result: said(app)}
	case errors.As(err, &cancelled):
		return study.End{How: study.ServerCancelled, Result: said(cancelled)}
	}
	return study.End{How: study.ServerFailed, Message: err.Error()}
}

// detailed is an error of the SDK that may carry values.
type detailed interface {
	HasDetails() bool
	Details(d ...any) error
}

// said is the row that an experiment put into its error, or nil.
func said(err detailed) *study.ExperimentResult {
	var r study.ExperimentResult
	if !err.HasDetails() || err.Details(&r) != nil || r.Status == "" {
		return nil
	}
	return &r
}

// Status is how the server says that a workflow stands: study.ServerRunning and so on. A paused one runs.
func Status(s enumspb.WorkflowExecutionStatus) string {
	switch s {
	case enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED:
		return study.ServerCompleted
	case enumspb.WORKFLOW_EXECUTION_STATUS_FAILED:
		return study.ServerFailed
	case enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED:
		return study.ServerCancelled
	case enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED:
		return study.ServerTerminated
	case enumspb.WORKFLOW_EXECUTION_STATUS_TIMED_OUT:
		return study.ServerTimedOut
	}
	return study.ServerRunning
}

// Seen is what the server knows of an experiment's workflow.
type Seen struct {
	Status    string                            // study.ServerRunning ...; empty: there is none
	Info      *workflowpb.WorkflowExecutionInfo // nil: there is none
	Waits     bool                              // an attempt waits for a host
	Follows   bool                              // it waits for another experiment, which trains the run
	Heartbeat *study.Progress                   // of the running attempt, or of that of the other experiment; nil before the first
	Holdup    protocol.Holdup                   // what the server knows of that holds it up
}

// Look asks for the newest workflow of this id.
func Look(ctx context.Context, c client.Client, id string) (Seen, error) {
	d, err := c.DescribeWorkflowExecution(ctx, id, "")
	var missing *serviceerror.NotFound
	if errors.As(err, &missing) {
		return Seen{}, nil
	}
	if err != nil {
		return Seen{}, fmt.Errorf("describe %s: %w", id, err)
	}
	seen := Seen{Status: Status(d.WorkflowExecutionInfo.Status), Info: d.WorkflowExecutionInfo}
	for _, a := range d.PendingActivities {
		follows := a.ActivityType.Name == "Follow" // another experiment trains the run
		if a.ActivityType.Name != "Train" && !follows {
			continue
		}
		seen.Follows = follows
		seen.Waits = follows || a.State == enumspb.PENDING_ACTIVITY_STATE_SCHEDULED
		if !follows {
			seen.Holdup = holdupOf(a)
		}
		var p study.Progress
		told := a.HeartbeatDetails != nil && converter.GetDefaultDataConverter().FromPayloads(a.HeartbeatDetails, &p) == nil
		switch {
		case told && p.StartedAt.IsZero() && !follows: // it is at a host, and waits there for a slot
			seen.Waits = true
		case told:
			seen.Heartbeat = &p
		}
	}
	return seen, nil
}

// holdupOf is what holds a pending activity up: a pause, or that no host has taken it yet.
func holdupOf(a *workflowpb.PendingActivityInfo) protocol.Holdup {
	switch {
	case a.Paused:
		why := a.GetPauseInfo().GetManual().GetReason()
		return protocol.Holdup{Kind: protocol.HoldupActivityPaused, Since: timeOf(a.GetPauseInfo().GetPauseTime()), Detail: why}
	case a.State == enumspb.PENDING_ACTIVITY_STATE_SCHEDULED:
		return protocol.Holdup{Kind: protocol.HoldupNoSlot, Since: timeOf(a.ScheduledTime)}
	}
	return protocol.Holdup{}
}

// timeOf is a time of the server; one that it does not give is zero.
func timeOf(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

// Owner is what the server knows of one attempt.
type Owner struct {
	Status    string          // of its workflow; empty: the server does not know it
	Running   bool            // the attempt
	Heartbeat *study.Progress // of the attempt; nil before the first
}

// Attempt asks for an attempt of a run of a workflow by the id of its activity.
func Attempt(ctx context.Context, c client.Client, workflowID, runID, activityID string) (Owner, error) {
	d, err := c.DescribeWorkflowExecution(ctx, workflowID, runID)
	var missing *serviceerror.NotFound
	var malformed *serviceerror.InvalidArgument // an id that no server of this version makes
	if errors.As(err, &missing) || errors.As(err, &malformed) {
		return Owner{}, nil
	}
	if err != nil {
		return Owner{}, fmt.Errorf("describe %s: %w", workflowID, err)
	}
	owner := Owner{Status: Status(d.WorkflowExecutionInfo.Status)}
	if owner.Status != study.ServerRunning { // the server keeps what was pending in a workflow that was terminated
		return owner, nil
	}
	for _, a := range d.PendingActivities {
		begun := a.State != enumspb.PENDING_ACTIVITY_STATE_SCHEDULED
		if a.ActivityId != activityID || !begun {
			continue
		}
		owner.Running = true
		var p study.Progress
		if a.HeartbeatDetails != nil && converter.GetDefaultDataConverter().FromPayloads(a.HeartbeatDetails, &p) == nil {
			owner.Heartbeat = &p
		}
	}
	return owner, nil
}

// Row is the row of an experiment as the server knows it: with its end, or with the progress of its running attempt and
// what holds it up. A workflow that began before the given time is of another sweep with the same id.
func Row(ctx context.Context, c client.Client, id string, r study.ExperimentResult, since time.Time) study.ExperimentResult {
	seen, err := Look(ctx, c, id)
	unknown := err != nil || seen.Info == nil || seen.Info.GetStartTime().AsTime().Before(since)
	switch {
	case study.Over(r.Status), unknown:
	case seen.Status != study.ServerRunning:
		if e, err := end(ctx, c, id); err == nil {
			return r.After(e)
		}
	case r.Status != study.StatusPaused: // the last attempt of one that is paused may still save
		seen.attempt(&r)
	}
	return r
}

// attempt takes over what the server knows of the experiment's attempt. It is newer than what the workflow has been told.
func (s Seen) attempt(r *study.ExperimentResult) {
	if s.Follows && s.Heartbeat != nil { // another experiment trains the run
		r.Take(*s.Heartbeat)
		r.Holdup = s.Heartbeat.Holdup
		return
	}
	begun := s.Heartbeat != nil && !s.Heartbeat.StartedAt.IsZero()
	switch {
	case begun && !s.Waits:
		r.Take(*s.Heartbeat)
		r.Holdup = protocol.Holdup{}
		if r.Status == study.StatusQueued {
			r.Status = study.StatusRunning
		}
	case s.Waits && r.Status == study.StatusRunning:
		r.Status = study.StatusQueued
		r.Rest()
	}
	if s.Heartbeat != nil && !begun { // it waits for a slot of its host
		r.Holdup = s.Heartbeat.Holdup
	}
	if s.Waits && r.Holdup.Kind == protocol.HoldupBackoff { // the next attempt is asked for already
		r.Holdup = protocol.Holdup{}
	}
	itsTurn := s.Holdup.Kind == protocol.HoldupNoSlot && !r.Holdup.None() // the workflow may know more
	if !s.Holdup.None() && !itsTurn {
		r.Holdup = s.Holdup
	}
}

// Rows asks for all experiments of a sweep that have not ended as far as it knows.
func Rows(ctx context.Context, c client.Client, sweep string, rows []study.ExperimentResult, since time.Time) {
	const atOnce = 16
	g := errgroup.Group{}
	g.SetLimit(atOnce)
	for i := range rows {
		r := &rows[i]
		if r.Item.SameAs != "" || study.Over(r.Status) {
			continue
		}
		g.Go(func() error {
			*r = Row(ctx, c, path.Join(sweep, r.Item.Phase, r.Item.ID), *r, since)
			return nil
		})
	}
	_ = g.Wait() // what cannot be asked stays as it is
}

// AwaitEnd waits for the end of an experiment that the run of a phase has begun. An error means that ctx has
// ended, or that the server cannot be asked.
func AwaitEnd(ctx context.Context, c client.Client, id, phaseRun string) (study.End, error) {
	seen, err := Look(ctx, c, id)
	if err != nil {
		return study.End{}, err
	}
	begun := seen.Info.GetParentExecution().GetRunId() == phaseRun
	if seen.Info == nil || !begun { // an experiment of this id may be left from another sweep
		return study.End{}, nil
	}
	return end(ctx, c, id)
}

// end waits for the end of the newest workflow of this id.
func end(ctx context.Context, c client.Client, id string) (study.End, error) {
	var r study.ExperimentResult
	err := c.GetWorkflow(ctx, id, "").Get(ctx, &r)
	var ended *temporal.WorkflowExecutionError
	if err != nil && !errors.As(err, &ended) {
		return study.End{}, fmt.Errorf("wait for the end of %s: %w", id, err)
	}
	return EndOf(&r, err), nil
}
