package workflows

import (
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"trmsweep/activities"
	"trmsweep/internal/protocol"
	"trmsweep/internal/queues"
	"trmsweep/internal/study"
)

// Attempts on a certain host.
const (
	// hostAnswers is how long a host may take to fetch an attempt from its own queue, which it always polls.
	hostAnswers = time.Minute
	// firstPatience is how long an attempt waits at a host for a slot before it chooses again. It doubles each time, up to maxPatience.
	firstPatience = 2 * time.Minute
	maxPatience   = 30 * time.Minute
)

// place is where an attempt is to run.
type place struct {
	host     string        // empty: any
	patience time.Duration // for a slot of that host
}

// choosePlace avoids hosts where the run has failed since its last checkpoint, while others live.
func (x *experimentState) choosePlace(ctx workflow.Context) place {
	if !x.res.Avoids() {
		return place{}
	}
	if x.living == nil {
		x.living = livingHosts(ctx)
	}
	host := x.res.NextHost(x.living, x.asked)
	x.living = nil
	if host == "" {
		return place{}
	}
	return place{host: host, patience: min(firstPatience<<min(len(x.asked), 5), maxPatience)}
}

// runAttempt is one training activity from the queue to its end, with its accounting.
func (x *experimentState) runAttempt(ctx workflow.Context) (*attempt, error) {
	x.res.Status = study.StatusQueued
	at := x.choosePlace(ctx)
	waitsFor := ""
	if at.host != "" {
		waitsFor = "of " + at.host + ", since attempts have failed elsewhere"
	}
	x.holdUp(ctx, protocol.HoldupNoSlot, waitsFor)
	number := x.res.Attempts + 1
	summary := fmt.Sprintf("%s, attempt %d from step %d of %d", x.in.Item.ID, number, x.res.CommittedStep, x.in.Item.TotalSteps)
	options := trainActivity(ctx, x.in.Timeouts.Heartbeat, x.in.Priority, summary)
	if at.host != "" {
		options = workflow.WithTaskQueue(options, queues.OfWorker(at.host))
		options = workflow.WithScheduleToStartTimeout(options, hostAnswers)
	}
	actx, cancel := workflow.WithCancel(options)
	a := &attempt{cancel: cancel, number: number, asked: workflow.Now(ctx)}
	x.attempt = a
	in := activities.TrainInput{
		Item:        *x.in.Item,
		Attempt:     number,
		Forget:      x.res.ToForget,
		Evaluations: x.in.StopOnCollapse || x.in.EveryEvaluation,
		Patience:    at.patience,
	}
	var out activities.TrainResult
	err := workflow.ExecuteActivity(actx, acts.Train, in).Get(ctx, &out)
	x.attempt = nil
	x.res.Holdup = protocol.Holdup{}
	p := out.Progress
	if err != nil {
		p = progressOf(err)
	} else {
		x.res.StateSHA256 = out.StateSHA256
		x.res.Outcome = out.Outcome
	}
	saysWhenItBegan := !p.StartedAt.IsZero()
	if err != nil && !saysWhenItBegan {
		a.noSlot = kindOf(err) == activities.ErrNoSlot || at.host != "" // or the host was lost before it had a slot
	}
	shared := err != nil && kindOf(err) == activities.ErrShared
	neverBegan := a.noSlot || shared || temporal.IsCanceledError(err) // a cancelled one without progress was never taken by a host
	if saysWhenItBegan || !neverBegan {
		x.res.Attempts = number
	}
	if at.host != "" {
		x.asked = append(x.asked, at.host)
	}
	if saysWhenItBegan {
		x.asked = nil
	}
	x.lastAttempt = x.res.Progress.StartedAt
	if saysWhenItBegan {
		x.lastAttempt = p.StartedAt
	}
	x.res.ToForget = x.res.ToForget && !p.Forgotten && err != nil
	if p.Step > 0 || p.CommittedStep > 0 {
		x.res.Progress = p
	}
	x.res.Progress.Holdup = protocol.Holdup{} // its process has ended
	x.res.CommittedStep = max(x.res.CommittedStep, p.CommittedStep)
	x.res.Account(p, a.asked, workflow.Now(ctx), err == nil)
	return a, err
}

// runStatus asks the store what it knows of the run.
func (x *experimentState) runStatus(ctx workflow.Context) (study.RunStatus, error) {
	var st study.RunStatus
	err := workflow.ExecuteActivity(lightActivity(ctx, "look for results of "+x.in.Item.Run), acts.Status, *x.in.Item).Get(ctx, &st)
	return st, err
}

// progressOf reads the progress that the error of an attempt carries.
func progressOf(err error) study.Progress {
	var p study.Progress
	var app *temporal.ApplicationError
	var timeout *temporal.TimeoutError
	var cancelled *temporal.CanceledError
	switch {
	case errors.As(err, &app) && app.HasDetails():
		_ = app.Details(&p)
	case errors.As(err, &timeout) && timeout.HasLastHeartbeatDetails():
		_ = timeout.LastHeartbeatDetails(&p)
	case errors.As(err, &cancelled) && cancelled.HasDetails():
		_ = cancelled.Details(&p)
	}
	return p
}
