package train

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"trmsweep/internal/backend"
	"trmsweep/internal/blob"
	"trmsweep/internal/checkpoint"
	"trmsweep/internal/dataset"
	"trmsweep/internal/experiment"
	"trmsweep/internal/protocol"
	"trmsweep/internal/tensor"
	"trmsweep/internal/trm"
)

// run is the state of one training process.
type run struct {
	o        Options
	unnamed  bool            // the run has the name that its spec gives it
	life     context.Context // of the whole attempt
	spec     experiment.Spec
	events   *announcer
	troubles troubles
	watch    *stopwatch
	bucket   blob.Bucket // the store, patient
	runs     blob.Bucket // runs/<run>/
	writer   *checkpoint.Writer
	saver    *checkpoint.Saver
	config   trm.Config
	programs *programs // nil until they are started
	model    *trm.Model
	info     backend.Info
	parts    []protocol.Part // what computed the run, in order
	sampler  *dataset.Sampler
	train    *dataset.Set
	test     *dataset.Set

	total        int64 // steps of the whole run
	step         int64 // steps done
	restoredFrom int64
	batches      *BatchChain
	meta         checkpoint.Meta
	log          metricsLog
	prior        protocol.Goodput // goodput of earlier attempts, up to their last commits
	interval     checkpoint.IntervalChoice
	saveCost     saveCost
	lastSave     time.Time
	lastSaved    int64 // step of the newest snapshot taken
	stepSeconds  float64
	rows         map[evalKey]evalRows // evaluations of this process, for the result
	notice       string               // reason of the notice that has arrived
	newest       checkpoint.Entry     // of the manifest that peek has read
	digest       string               // of the state that was committed or restored last
	spare        tensor.State         // memory for the next snapshot
}

// closePatience is how long an ended attempt waits for a storage request that ignores the end of its context.
const closePatience = 10 * time.Second

// Run trains until the run is complete, Options.MaxSteps is reached, or a
// notice arrives (ErrPreempted, with the Result of what was saved). It resumes
// by itself if the run exists. Errors: ErrPreempted, ErrDiverged, ErrMismatch,
// checkpoint.ErrFenced, checkpoint.ErrAllBad, or wrapped storage and dataset errors.
func Run(ctx context.Context, o Options) (protocol.AttemptResult, error) {
	unnamed := o.Run == ""
	o.defaults()
	ctx, cancel := context.WithCancelCause(ctx)
	r := &run{o: o, unnamed: unnamed, spec: o.Spec, total: o.Spec.TotalSteps(), rows: map[evalKey]evalRows{}}
	r.events = newAnnouncer(o.Events, o.Now)
	r.watch = newStopwatch(o.Now, o.Start, protocol.BucketStarting)
	defer r.close(cancel)
	go r.events.run(ctx)
	r.events.progress(func(e *protocol.Event) { e.Total = r.total })
	r.state(protocol.StateStarting)

	res, done, err := r.begin(ctx, cancel)
	if done || err != nil {
		return res, backend.ExplainMemory(err)
	}
	if err = r.loop(ctx); err == nil {
		res, err = r.finish(ctx)
	}
	if errors.Is(err, errNotice) {
		err = r.preempted(ctx)
	}
	if errors.Is(err, ErrPreempted) {
		res = r.result()
		res.StateSHA256 = r.digest // the current step is the committed one
		return res, err
	}
	if err != nil {
		return r.result(), backend.ExplainMemory(err)
	}
	return res, nil
}

// begin does what comes before the first step. A notice ends it at once, whatever it
// waits for: there is nothing to save yet. done: the run was complete before.
func (r *run) begin(ctx context.Context, cancel context.CancelCauseFunc) (res protocol.AttemptResult, done bool, err error) {
	r.life = ctx
	err = r.untilNotice(ctx, func(ctx context.Context) (err error) {
		if res, done, err = r.prepare(ctx); done || err != nil {
			return err
		}
		go r.guard(r.life, cancel)
		err = r.restore(ctx)
		res = r.result()
		return err
	})
	if err != nil && r.notice != "" {
		r.events.event(protocol.Event{Type: protocol.EventNotice, Step: r.step, Message: r.notice})
		err = fmt.Errorf("%w before anything was trained: %s", ErrPreempted, r.notice)
	}
	return res, done, err
}

// errNotice ends what need not be finished once a notice has arrived.
var errNotice = errors.New("told to stop")

// noticed reports whether a notice has arrived.
func (r *run) noticed() bool {
	if r.notice != "" {
		return true
	}
	select {
	case why := <-r.o.Notice:
		r.notice = cmp.Or(why, "told to stop")
		return true
	default:
		return false
	}
}

// guard ends ctx when another attempt has acquired the run. Without it, this attempt
// would notice only at its next save.
func (r *run) guard(ctx context.Context, cancel context.CancelCauseFunc) {
	t := time.NewTicker(r.o.CheckEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if err := r.writer.Check(ctx); errors.Is(err, checkpoint.ErrFenced) {
			cancel(fmt.Errorf("run %s: %w", r.o.Run, err))
			return
		}
	}
}

// loop takes one optimizer step after the other.
func (r *run) loop(ctx context.Context) error {
	last := r.total
	if r.o.MaxSteps > 0 {
		last = min(last, r.o.MaxSteps)
	}
	r.state(protocol.StateTraining)
	feed, stop := r.feed(r.step, last)
	defer stop()
	if r.evalDue() && !r.evaluated() {
		if err := r.evalStep(ctx); err != nil {
			return err
		}
	}
	for r.step < last {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if r.noticed() {
			return errNotice
		}
		if err := r.poll(); err != nil {
			return err
		}
		if err := r.trainStep(ctx, feed); err != nil {
			return err
		}
		if r.evalDue() {
			if err := r.evalStep(ctx); err != nil {
				return err
			}
		}
		if err := r.saveIfDue(ctx); err != nil {
			return err
		}
	}
	return r.saveNow(ctx)
}

// trainStep is one batch, one optimizer step, one line of the log.
func (r *run) trainStep(ctx context.Context, feed <-chan fed) error {
	f, ok := <-feed
	if !ok {
		return errors.New("the batch feed ended early")
	}
	if f.err != nil {
		return f.err
	}
	step := r.step + 1
	lr := r.spec.LRAt(step)
	begin := r.o.Now()
	res, err := r.model.Step(trm.StepInput{
		Inputs: f.batch.Inputs, Labels: f.batch.Labels, PuzzleIDs: f.batch.PuzzleIDs, MinSteps: f.minSteps,
		Step: step, LR: lr, PuzzleEmbLR: r.spec.PuzzleEmbLRAt(step),
	})
	if err != nil {
		return fmt.Errorf("step %d of %s: %w", step, r.spec.Name, err)
	}
	if !res.Finite {
		_ = r.drain(ctx) // an older step may be on its way: it is then the last good one
		return fmt.Errorf("%w: step %d of %s (loss %v); %s; a lower lr or a longer warm-up may help",
			ErrDiverged, step, r.spec.Name, res.Loss, r.lastGood())
	}
	metrics, err := r.metricsToLog(step)
	if err != nil {
		return fmt.Errorf("step %d of %s: %w", step, r.spec.Name, err)
	}
	now := r.o.Now()
	r.batches.Add(step, f.batch, f.minSteps)
	f.release()
	r.step = step
	r.observe(now.Sub(begin).Seconds())
	loss := res.Loss / float64(r.spec.GlobalBatchSize)
	r.log.step(step, loss, metrics, lr, now)
	r.events.progress(func(e *protocol.Event) {
		e.Step, e.LR = step, lr
		e.Loss = loss
		if metrics != nil {
			e.LMLoss = metrics.LMLoss
		}
		if metrics != nil && metrics.Count > 0 {
			e.Accuracy, e.ExactAccuracy = metrics.Accuracy, metrics.ExactAccuracy
		}
		e.StepsPerSecond = 1 / max(r.stepSeconds, 1e-9)
		e.ETASeconds = float64(r.total-step) * r.stepSeconds
		e.Goodput = r.watch.snapshot()
	})
	return nil
}

// metricsToLog reads the means of a step that is logged with all of them; nil for others.
func (r *run) metricsToLog(step int64) (*trm.Metrics, error) {
	if step%int64(max(1, r.spec.LogEverySteps)) != 0 && step != r.total {
		return nil, nil
	}
	sums, err := r.model.Metrics()
	means := sums.Means(r.spec.GlobalBatchSize)
	return &means, err
}

// observe keeps a running mean of the step time.
func (r *run) observe(seconds float64) {
	if r.stepSeconds == 0 {
		r.stepSeconds = seconds
		return
	}
	r.stepSeconds += 0.1 * (seconds - r.stepSeconds)
}

// state switches bucket and announces it.
func (r *run) state(s string) {
	r.watch.switchTo(s)
	r.events.progress(func(e *protocol.Event) {
		e.State = s
		e.Goodput = r.watch.snapshot()
	})
}

func (r *run) result() protocol.AttemptResult {
	res := protocol.AttemptResult{
		Run:              r.o.Run,
		Step:             r.step,
		Total:            r.total,
		Finished:         r.meta.Final,
		SpecHash:         r.spec.Hash(),
		Seed:             r.spec.Seed,
		DatasetHash:      r.meta.DatasetHash,
		RestoredFromStep: r.restoredFrom,
		Backend:          r.info.Name,
		CommittedStep:    r.newest.Step,
	}
	if r.writer != nil {
		res.CommittedStep = r.committed()
	}
	if r.batches != nil {
		res.BatchSHA256 = r.batches.Digest()
	}
	return res
}

// close ends everything that runs beside the step loop, and frees the rest.
func (r *run) close(cancel context.CancelCauseFunc) {
	if r.programs != nil { // a compilation cannot be interrupted; until it ends, the parent hears that this process lives
		<-r.programs.ended
		r.model = r.programs.model
	}
	cancel(nil)
	r.events.close()
	wait, stop := context.WithTimeout(context.Background(), closePatience)
	defer stop()
	if r.saver != nil { // nothing of an attempt reaches the store after its end
		_ = r.saver.Wait(wait)
	}
	if r.programs != nil {
		r.programs.cache.Wait(wait)
	}
	if r.model != nil {
		r.model.Close()
	}
	if r.train != nil {
		r.train.Close()
	}
	if r.test != nil {
		r.test.Close()
	}
}
