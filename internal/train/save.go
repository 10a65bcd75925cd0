package train

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"strings"
	"time"

	"trmsweep/internal/checkpoint"
	"trmsweep/internal/protocol"
	"trmsweep/internal/tensor"
)

// saveCost is what saving was measured to cost, for the choice of the interval.
type saveCost struct {
	stall, persist float64 // seconds, of the last save
}

// minSaveGap: Google Cloud Storage takes about one write a second to one object name (HEAD).
const minSaveGap = time.Second

// committed is the newest step that the store holds.
func (r *run) committed() int64 {
	var step int64
	for _, e := range r.writer.Head().Entries {
		if e.Bad == "" {
			step = max(step, e.Step)
		}
	}
	return step
}

// lastGood names what a diverged run can be continued from.
func (r *run) lastGood() string {
	if e, ok := newestGood(r.writer.Head()); ok {
		return fmt.Sprintf("the last good checkpoint of run %s is step %d (%s)", r.o.Run, e.Step, e.Manifest)
	}
	return fmt.Sprintf("nothing was committed yet of run %s", r.o.Run)
}

// poll takes note of the saves that have ended. The last one decides, since the
// log of one that failed is in the next; divergence and the fence are final.
func (r *run) poll() error {
	var last error
	for {
		res, ok := r.saver.Poll()
		if !ok {
			return last
		}
		last = r.ended(res)
		if errors.Is(last, ErrDiverged) || errors.Is(last, checkpoint.ErrFenced) {
			return last
		}
	}
}

// ended takes note of one save.
func (r *run) ended(res checkpoint.SaveResult) error {
	r.spare = res.State
	if res.Err != nil {
		if errors.Is(res.Err, ErrDiverged) {
			return fmt.Errorf("%w; %s; a lower lr or a longer warm-up may help", res.Err, r.lastGood())
		}
		return fmt.Errorf("save checkpoint of run %s: %w", r.o.Run, res.Err)
	}
	r.saveCost = saveCost{stall: res.Stall.Seconds(), persist: res.Commit.Took.Seconds()}
	if r.spec.CheckpointEverySteps > 0 || r.stepSeconds > 0 {
		r.chooseInterval()
	}
	step := res.Commit.Step
	r.digest = res.Commit.StateSHA256
	r.troubles.clear()
	r.events.progress(func(e *protocol.Event) {
		e.CommittedStep = step
		e.Holdup = protocol.Holdup{}
	})
	r.events.event(protocol.Event{Type: protocol.EventCheckpoint, Step: step, Seconds: res.Commit.Took.Seconds(), Bytes: res.Commit.Bytes})
	return nil
}

// chooseInterval sets the time between checkpoints and says why when it changes much.
func (r *run) chooseInterval() {
	head := r.writer.Head()
	c := checkpoint.ChooseInterval(checkpoint.IntervalInput{
		FixedSteps: int64(r.spec.CheckpointEverySteps), StepSeconds: r.stepSeconds,
		StallSeconds: r.saveCost.stall, PersistSeconds: r.saveCost.persist,
		Preemptions: head.Term - 1, Observed: r.o.Now().Sub(head.Created),
	})
	old := r.interval
	r.interval = c
	announced := old.Seconds > 0 && math.Abs(c.Seconds/old.Seconds-1) < 0.25
	if r.spec.CheckpointEverySteps > 0 {
		announced = old.Steps > 0
	}
	if announced {
		return
	}
	r.events.event(protocol.Event{Type: protocol.EventInterval, Step: r.step, Message: c.Reason})
	r.o.Logger.Info("checkpoint interval", "steps", c.Steps, "reason", c.Reason)
}

// saveIfDue starts a save beside training when the interval has passed: steps
// if the spec fixes them, else time. When a save happens changes nothing that is computed.
func (r *run) saveIfDue(ctx context.Context) error {
	fixed := int64(r.spec.CheckpointEverySteps)
	known := fixed > 0 || r.stepSeconds > 0
	if r.interval.Steps == 0 && known {
		r.chooseInterval()
	}
	since := r.o.Now().Sub(r.lastSave)
	due := r.interval.Steps > 0 && since.Seconds() >= r.interval.Seconds
	if fixed > 0 { // a multiple was reached, perhaps while a save was in flight
		due = r.step/fixed > r.lastSaved/fixed
	}
	if !due || r.saver.Busy() || since < minSaveGap {
		return nil
	}
	return r.startSave()
}

func (r *run) startSave() error {
	old := r.watch.switchTo(protocol.BucketSaving)
	started, err := r.saver.Start(r.snapshot)
	r.watch.switchTo(old)
	if err != nil {
		return fmt.Errorf("snapshot of step %d: %w", r.step, err)
	}
	if started {
		r.lastSave, r.lastSaved = r.o.Now(), r.step
	}
	return nil
}

// saveNow commits the current step and waits for it. A step that is committed already costs nothing.
func (r *run) saveNow(ctx context.Context) error {
	r.state(protocol.StateSaving)
	if err := r.drain(ctx); err != nil {
		return err
	}
	if r.committed() == r.step && len(r.log.jsonl) == 0 { // also for step 0, where there is nothing to lose
		return nil
	}
	if err := r.startSave(); err != nil {
		return err
	}
	return r.drain(ctx)
}

// drain waits until no save is in flight.
func (r *run) drain(ctx context.Context) error {
	if err := r.saver.Wait(ctx); err != nil {
		return err
	}
	return r.poll()
}

// snapshot copies the state and everything that belongs to this step.
func (r *run) snapshot() (checkpoint.Snapshot, error) {
	state, err := r.model.SnapshotInto(r.spare)
	if err != nil {
		return checkpoint.Snapshot{}, err
	}
	r.spare = nil // the save's until it ends
	goodput, err := json.Marshal(r.watch.withPrior(r.prior))
	if err != nil {
		return checkpoint.Snapshot{}, err
	}
	parts, err := json.Marshal(r.parts)
	if err != nil {
		return checkpoint.Snapshot{}, err
	}
	r.meta.DataStep, r.meta.BatchSHA256 = r.step, r.batches.Digest()
	meta := r.meta
	meta.Evals = append([]protocol.Eval(nil), r.meta.Evals...)
	meta.Final = r.step == r.total
	meta.Extra = maps.Clone(r.meta.Extra) // what was noted of the run once, as where it was imported from, stays
	if meta.Extra == nil {
		meta.Extra = map[string]json.RawMessage{}
	}
	meta.Extra["goodput"], meta.Extra[computedKey] = goodput, parts
	jsonl, events := r.log.flush()
	return checkpoint.Snapshot{Step: r.step, State: state, Shards: r.spec.GradientShards, Meta: meta, MetricsJSONL: jsonl, TFEvents: events,
		Check: finite}, nil
}

// preempted saves the current step and reports why it stopped.
func (r *run) preempted(ctx context.Context) error {
	r.events.event(protocol.Event{Type: protocol.EventNotice, Step: r.step, Message: r.notice})
	if err := r.saveNow(ctx); err != nil {
		return fmt.Errorf("save after notice (%s): %w", r.notice, err)
	}
	return fmt.Errorf("%w at step %d of %d: %s", ErrPreempted, r.step, r.total, r.notice)
}

// finite refuses to commit a state that no step can be taken from: an update can
// be NaN though its loss was not.
func finite(s tensor.State) error {
	var all []string
	for _, name := range s.Names() {
		if !s[name].Finite() {
			all = append(all, name)
		}
	}
	if len(all) > 0 {
		return fmt.Errorf("%w: NaN or infinity in %s", ErrDiverged, strings.Join(all, ", "))
	}
	return nil
}
