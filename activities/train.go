package activities

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"trmsweep/internal/blob"
	"trmsweep/internal/checkpoint"
	"trmsweep/internal/layout"
	"trmsweep/internal/protocol"
)

// errEnded: the attempt was told to end before its training process had begun.
var errEnded = errors.New("the attempt was ended before its training process began")

// Train runs one attempt of one run in a child process. It returns the result,
// or an error whose type says what to do next; errors and heartbeats carry Progress.
func (a *Activities) Train(ctx context.Context, in TrainInput) (TrainResult, error) {
	tr := &tracker{p: Progress{State: protocol.BucketQueued, Total: in.Item.TotalSteps, Host: a.Host, Worker: a.Worker}}
	if in.Patience > 0 {
		tr.p.Holdup = protocol.Holdup{
			Kind:   protocol.HoldupNoSlot,
			Since:  time.Now(),
			Where:  a.Worker,
			Detail: "attempts have failed on other hosts",
		}
	}
	stop, done := make(chan struct{}), make(chan struct{})
	var heartbeats sync.WaitGroup
	heartbeats.Go(func() { a.heartbeatAttempt(ctx, tr, stop, done) })
	telling, stopTelling := context.WithCancel(ctx)
	began := func() { heartbeats.Go(func() { a.tellWorkflow(telling, in, tr) }) }
	e, err := a.inSlot(ctx, in, tr, stop, began)
	close(done)
	stopTelling()
	heartbeats.Wait()
	a.tellPause(ctx, tr)
	if err != nil {
		return TrainResult{}, tr.fault(err)
	}
	return tr.result(e)
}

// inSlot makes the attempt once it has a slot of the host and nobody else who lives trains the run; it calls began then.
func (a *Activities) inSlot(ctx context.Context, in TrainInput, tr *tracker, stop <-chan struct{}, began func()) (exit, error) {
	if in.Patience > 0 {
		limit, cancel := context.WithTimeout(context.Background(), in.Patience)
		defer cancel()
		if !a.Slots.Take(stop, limit.Done()) {
			return exit{}, notBegun(stop, in.Patience)
		}
		defer a.Slots.Release()
	} else if a.Slots.Crowded() {
		return exit{}, errCrowded()
	}
	tr.begin()
	self := activity.GetInfo(ctx).WorkflowExecution.ID
	var by holder
	err := untilStop(ctx, stop, func(ctx context.Context) (err error) {
		by, err = a.patiently(tr).whoHolds(ctx, in.Item.Run, self)
		return err
	})
	if err == nil && by.name != "" {
		err = errShared{run: in.Item.Run, by: by}
	}
	if err != nil {
		return exit{}, err
	}
	began()
	return a.attempt(ctx, in, by.term, tr, stop)
}

// untilStop runs f under a context that ends when stop closes; errEnded then.
func untilStop(ctx context.Context, stop <-chan struct{}, f func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	err := f(ctx)
	select {
	case <-stop:
		return errEnded
	default:
		return err
	}
}

// notBegun is why an attempt has got no slot.
func notBegun(stop <-chan struct{}, patience time.Duration) error {
	select {
	case <-stop:
		return errEnded
	default:
		return temporal.NewApplicationError(fmt.Sprintf("no slot of this host became free within %s", patience), ErrNoSlot)
	}
}

// attempt prepares the run and trains it until the process ends. What comes before
// the process ends when stop closes. The run was nobody's, or that of a dead owner, when its fence term was this.
func (a *Activities) attempt(ctx context.Context, in TrainInput, term int64, tr *tracker, stop <-chan struct{}) (exit, error) {
	info := activity.GetInfo(ctx)
	owner := checkpoint.Owner{WorkflowID: info.WorkflowExecution.ID, RunID: info.WorkflowExecution.RunID,
		ActivityID: info.ActivityID, Attempt: in.Attempt, Host: a.Host}
	var spec []byte
	err := untilStop(ctx, stop, func(ctx context.Context) (err error) {
		spec, err = a.prepare(ctx, in, owner, tr)
		return err
	})
	if err != nil {
		return exit{}, err
	}
	own, err := json.Marshal(owner)
	if err != nil {
		return exit{}, err
	}
	slot, release, ok := a.Child.Slots.acquire(stop)
	if !ok {
		return exit{}, errEnded
	}
	defer release()
	tr.setHost(slot.on(a.Host))
	args := []string{"--spec", "-", "--run", in.Item.Run, "--owner", string(own), "--seen-term", strconv.FormatInt(term, 10)}
	return a.Child.run(stop, in.Item.Run, spec, slot.Env, append(args, a.Child.Args...), tr.apply)
}

// prepare reads the spec and empties an old run if that is asked for.
func (a *Activities) prepare(ctx context.Context, in TrainInput, owner checkpoint.Owner, tr *tracker) ([]byte, error) {
	if err := checkRun(in.Item.Run); err != nil {
		return nil, err
	}
	waiting := a.patiently(tr)
	spec, _, err := waiting.specText(ctx, in.Item.SpecKey)
	if err == nil && in.Forget {
		err = waiting.forgetOnce(ctx, in.Item.Run, owner, tr)
	}
	return spec, err
}

// forgetOnce empties the run and tells the server so at once: the next attempt must not
// do it again. It does nothing if the server has given the attempt up, perhaps
// because this host was stopped for a while: the run is another attempt's now.
func (a *Activities) forgetOnce(ctx context.Context, run string, owner checkpoint.Owner, tr *tracker) error {
	if a.heartbeat(ctx, tr) {
		return errEnded
	}
	if err := a.forget(ctx, run, owner); err != nil {
		return err
	}
	tr.setForgotten()
	if a.heartbeat(ctx, tr) {
		return errEnded
	}
	return nil
}

// forget empties a run, so that it trains anew.
func (a *Activities) forget(ctx context.Context, run string, owner checkpoint.Owner) error {
	if err := checkpoint.Forget(ctx, layout.Run(a.Bucket, run), owner, []string{layout.ResultFile}); err != nil {
		return fmt.Errorf("train %s anew: %w", run, err)
	}
	return nil
}

// tracker keeps the progress of an attempt from the events of its process.
type tracker struct {
	mu     sync.Mutex
	p      Progress
	last   protocol.Event
	failed string          // message of the last error event
	whose  protocol.Fault  // of the same
	paused protocol.Holdup // that the server holds the activity

	cancelled atomic.Bool // the workflow wants the attempt to end
}

func (t *tracker) snapshot() Progress {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.p
	if !t.paused.None() {
		p.Holdup = t.paused
	}
	return p
}

// begin says that the attempt has a slot.
func (t *tracker) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.p.State = protocol.StateStarting
	t.p.StartedAt = time.Now()
	t.p.Holdup = protocol.Holdup{}
}

// setHost says where the training process runs.
func (t *tracker) setHost(host string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.p.Host = host
}

func (t *tracker) setForgotten() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.p.Forgotten = true
}

// apply updates the progress by one event.
func (t *tracker) apply(e protocol.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = e
	p := &t.p
	if e.Type == protocol.EventError {
		t.failed = e.Message
		t.whose = e.Fault
		return
	}
	p.Step = max(p.Step, e.Step)
	if e.Total > 0 {
		p.Total = e.Total
	}
	p.CommittedStep = max(p.CommittedStep, e.CommittedStep)
	if e.BestPuzzles > 0 {
		p.BestExactAccuracy = e.BestExactAccuracy
		p.BestPuzzles = e.BestPuzzles
	}
	if e.Goodput != nil {
		p.Goodput = e.Goodput
	}
	if e.State != "" {
		p.State = e.State
	}
	p.Holdup = e.Holdup
	switch e.Type {
	case protocol.EventRestored:
		p.RestoredFrom = max(e.RestoredFrom, e.Step)
	case protocol.EventProgress:
		p.Loss = e.Loss
		p.ExactAccuracy = e.ExactAccuracy
		p.StepsPerSecond = e.StepsPerSecond
		p.ETASeconds = e.ETASeconds
	case protocol.EventEval:
		p.EvalStep, p.EvalExact = e.Step, e.ExactAccuracy
	case protocol.EventStorage, protocol.EventNotice:
		p.Note = e.Message
	}
}

// fault turns an error before or beside the training process into the activity's.
func (t *tracker) fault(err error) error {
	p := t.snapshot()
	var app *temporal.ApplicationError
	var shared errShared
	switch {
	case t.cancelled.Load():
		return temporal.NewCanceledError(p)
	case errors.As(err, &app) && app.Type() == ErrConfig:
		return temporal.NewNonRetryableApplicationError(app.Message(), ErrConfig, nil, p)
	case errors.As(err, &shared):
		p.StartedAt = time.Time{} // it has only looked
		return temporal.NewApplicationErrorWithCause(err.Error(), ErrShared, nil, p)
	case errors.As(err, &app) && app.Type() == ErrNoSlot:
		return temporal.NewApplicationErrorWithCause(app.Message(), ErrNoSlot, nil, p)
	case errors.Is(err, errEnded):
		return temporal.NewApplicationErrorWithCause(err.Error(), ErrPreempted, nil, p)
	case errors.Is(err, checkpoint.ErrFenced):
		return temporal.NewApplicationErrorWithCause(err.Error(), ErrFenced, nil, p)
	case errors.Is(err, blob.ErrKey):
		return temporal.NewNonRetryableApplicationError(err.Error(), ErrConfig, err, p)
	}
	kind := ErrFailed
	if protocol.FaultOf(err) == protocol.FaultHost {
		kind = ErrHost
	}
	return temporal.NewApplicationErrorWithCause(err.Error(), kind, err, p)
}

// result turns the end of the process into the activity's.
func (t *tracker) result(e exit) (TrainResult, error) {
	p := t.snapshot()
	msg := t.failed
	if msg == "" {
		msg = fmt.Sprintf("training process ended with exit code %d", e.code)
		if e.signal != 0 {
			msg = fmt.Sprintf("training process ended by signal %s", e.signal)
			p.Killed = "the training process was killed by signal " + e.signal.String()
		}
		if e.silent {
			p.Killed = ""
			msg = "training process killed because it said nothing for minutes: it was stopped, or its device hangs"
		}
		if e.oom {
			msg = "training process killed by the kernel for lack of memory: run fewer at once on this host, " +
				"or train with a smaller global_batch_size"
		}
		if e.tail != "" {
			msg += "; end of its log:\n" + e.tail
		}
	}
	saved := fmt.Sprintf(" (last checkpoint: step %d of %d)", p.CommittedStep, p.Total)
	if e.code == protocol.ExitDone && t.last.Result != nil {
		return TrainResult{
			Progress:    p,
			Outcome:     t.last.Result.Outcome,
			StateSHA256: t.last.Result.StateSHA256,
			BatchSHA256: t.last.Result.BatchSHA256,
		}, nil
	}
	if t.cancelled.Load() {
		return TrainResult{}, temporal.NewCanceledError(p)
	}
	fail := func(kind string) error { return temporal.NewApplicationErrorWithCause(msg+saved, kind, nil, p) }
	final := func(kind string) error { return temporal.NewNonRetryableApplicationError(msg+saved, kind, nil, p) }
	crashedGo := e.code == protocol.ExitUsage && t.failed == "" // without a last line
	outOfMemory := crashedGo && strings.Contains(e.tail, "out of memory")
	switch {
	case e.oom, outOfMemory:
		return TrainResult{}, fail(ErrUnfit)
	case crashed(e.signal):
		return TrainResult{}, fail(ErrFailed)
	case e.code == protocol.ExitPreempted, e.signal != 0:
		return TrainResult{}, fail(ErrPreempted)
	case e.code == protocol.ExitFenced:
		return TrainResult{}, fail(ErrFenced)
	case e.code == protocol.ExitBusy:
		return TrainResult{}, fail(ErrBusy)
	case t.whose == protocol.FaultHost:
		return TrainResult{}, fail(ErrHost)
	case t.whose == protocol.FaultUnfit:
		return TrainResult{}, fail(ErrUnfit)
	case e.code == protocol.ExitUsage && t.failed != "":
		return TrainResult{}, final(ErrConfig)
	case e.code == protocol.ExitFinal:
		return TrainResult{}, final(ErrFinal)
	}
	return TrainResult{}, fail(ErrFailed)
}

// crashed says whether a signal is one that a process brings upon itself.
func crashed(s syscall.Signal) bool {
	switch s {
	case syscall.SIGSEGV, syscall.SIGBUS, syscall.SIGILL, syscall.SIGFPE, syscall.SIGABRT, syscall.SIGTRAP, syscall.SIGSYS:
		return true
	}
	return false
}
