package train

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"trmsweep/internal/backend"
	"trmsweep/internal/blob"
	"trmsweep/internal/blob/patient"
	"trmsweep/internal/checkpoint"
	"trmsweep/internal/dataset"
	"trmsweep/internal/experiment"
	"trmsweep/internal/tensor"
	"trmsweep/internal/trm"
	"trmsweep/internal/version"
)

// run is the state of one training process.
type run struct {
	o       Options
	spec    experiment.Spec
	say     *announcer
	watch   *stopwatch
	bucket  blob.Bucket // the store, patient
	runs    blob.Bucket // runs/<run>/
	writer  *checkpoint.Writer
	saver   *checkpoint.Saver
	model   *trm.Model
	info    backend.Info
	sampler *dataset.Sampler
	train   *dataset.Set
	test    *dataset.Set

	total        int64 // steps of the whole run
	step         int64 // steps done
	restoredFrom int64
	ledger       *Ledger
	meta         checkpoint.Meta
	log          metricsLog
	prior        map[string]float64 // goodput of earlier attempts, up to their last commits
	interval     checkpoint.IntervalChoice
	saveCost     saveCost
	lastSave     time.Time
	lastSaved    int64 // step of the newest snapshot taken
	stepSeconds  float64
	rows         map[evalKey]evalRows // evaluations of this process, for the result
	notice       string               // why to stop, once told
	spare        tensor.State         // memory for the next snapshot
}

// closePatience is how long an ended attempt waits for a storage request that does not hear.
const closePatience = 10 * time.Second

// Run trains until the run is complete, Options.MaxSteps is reached, or a
// notice arrives (ErrPreempted, with the Result of what was saved). It resumes
// by itself where the run exists. Errors: ErrPreempted, ErrDiverged, ErrMismatch,
// checkpoint.ErrFenced, checkpoint.ErrAllBad, or wrapped storage and dataset errors.
func Run(ctx context.Context, o Options) (Result, error) {
	o.defaults()
	ctx, cancel := context.WithCancelCause(ctx)
	r := &run{o: o, spec: o.Spec, total: o.Spec.TotalSteps(), rows: map[evalKey]evalRows{}}
	r.say = newAnnouncer(o.Events, o.Now)
	r.watch = newStopwatch(o.Now, o.Start, BucketStarting)
	defer r.close(cancel)
	go r.say.run(ctx)
	r.state(StateStarting)

	res, done, err := r.prepare(ctx)
	if done || err != nil {
		return res, err
	}
	go r.guard(ctx, cancel)
	if err := r.restore(ctx); err != nil {
		return r.result(), err
	}
	if err = r.loop(ctx); err == nil {
		res, err = r.finish(ctx)
	}
	if errors.Is(err, errTold) {
		err = r.preempted(ctx)
	}
	if err != nil {
		return r.result(), err
	}
	return res, nil
}

// errTold: a notice has arrived in the middle of something that need not be finished.
var errTold = errors.New("told to stop")

// told reports whether a notice has arrived.
func (r *run) told() bool {
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

// guard ends ctx when another attempt has acquired the run: between two saves
// nothing else would tell.
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

// prepare opens the dataset, takes the run's fence and builds the model. done: the run was complete before.
func (r *run) prepare(ctx context.Context) (res Result, done bool, err error) {
	if err := r.spec.Validate(); err != nil {
		return r.result(), false, err
	}
	r.bucket = patient.New(r.o.Bucket, r.o.Patience, func(op, key string, err error, waited time.Duration) {
		r.say.event(Event{Type: EventStorage, Seconds: waited.Seconds(), Message: fmt.Sprintf("%s %s: %v", op, key, err)})
		r.o.Logger.Warn("storage is failing, waiting", "op", op, "key", key, "error", err, "waited", waited.Round(time.Millisecond))
	})
	r.runs = blob.Prefix(r.bucket, "runs/"+r.o.Run+"/")
	there, err := r.peek(ctx)
	if err != nil {
		return r.result(), false, err
	}
	if res, done, err := r.complete(ctx, there); done || err != nil {
		return res, done, err
	}
	if err := r.openData(ctx); err != nil {
		return r.result(), false, err
	}
	if there != nil {
		if err := r.matches(there.Meta, r.meta.DatasetHash); err != nil {
			return r.result(), false, err
		}
	}
	return r.result(), false, r.acquire(ctx)
}

// acquire takes the run's fence and builds the model.
func (r *run) acquire(ctx context.Context) (err error) {
	r.writer, err = checkpoint.Acquire(ctx, r.runs, r.o.Owner,
		checkpoint.WithKeep(r.spec.KeepCheckpoints), checkpoint.WithLogger(r.o.Logger), checkpoint.WithGrace(r.o.Grace))
	if err != nil {
		return fmt.Errorf("acquire run %s: %w", r.o.Run, err)
	}
	r.saver = checkpoint.NewSaver(ctx, r.writer)
	r.state(StateCompiling)
	be, info, err := backend.New(r.o.Backend, r.o.Threads)
	if err != nil {
		return err
	}
	r.info = info
	r.model, err = trm.New(be, trm.ConfigFromSpec(r.spec, r.train.NumPuzzleIdentifiers()))
	if err != nil {
		return fmt.Errorf("build model of %s: %w", r.spec.Name, err)
	}
	return nil
}

// openData makes sure of the dataset and opens both splits.
func (r *run) openData(ctx context.Context) error {
	dir := r.o.DataDir
	if dir == "" {
		opts := DatasetOptions(r.spec)
		opts.Opener = r.o.Opener
		var err error
		dir, r.meta.DatasetHash, _, err = dataset.Ensure(ctx, r.bucket, opts, r.o.CacheDir, nil)
		if err != nil {
			return fmt.Errorf("dataset of %s: %w", r.spec.Name, err)
		}
	} else {
		h, err := dataset.HashDir(dir)
		if err != nil {
			return err
		}
		r.meta.DatasetHash = h
	}
	var err error
	if r.train, err = dataset.Open(dir, "train"); err != nil {
		return err
	}
	if r.test, err = dataset.Open(dir, "test"); err != nil {
		return err
	}
	epochs := r.spec.EvalIntervalEpochs
	r.sampler, err = dataset.NewSampler(r.train, uint64(r.spec.Seed), r.spec.GlobalBatchSize, epochs)
	if err != nil {
		return fmt.Errorf("batches from %s: %w", filepath.Join(dir, "train"), err)
	}
	return nil
}

// restore loads the newest good checkpoint, or the start values where there is none.
func (r *run) restore(ctx context.Context) error {
	r.state(StateRestoring)
	ck, err := r.writer.Restore(ctx)
	if err != nil {
		return fmt.Errorf("restore run %s: %w", r.o.Run, err)
	}
	data := r.meta.DatasetHash
	if ck == nil {
		r.meta = checkpoint.Meta{WorldSize: 1, Seed: r.spec.Seed, ConfigHash: r.spec.Hash(), DatasetHash: data}
		r.ledger, _ = ParseLedger("")
		spec, err := json.MarshalIndent(r.spec, "", "  ")
		if err != nil {
			return err
		}
		if _, err := blob.PutBytes(ctx, r.runs, "spec.json", append(spec, '\n'), blob.Any); err != nil {
			return fmt.Errorf("write spec of run %s: %w", r.o.Run, err)
		}
		r.spare = r.model.InitState(uint64(r.spec.Seed))
		err = r.model.Load(r.spare)
		r.ready()
		return err
	}
	r.meta = ck.Manifest.Meta
	if err := r.matches(r.meta, data); err != nil {
		return err
	}
	if r.ledger, err = ParseLedger(r.meta.LedgerSHA256); err != nil {
		return err
	}
	if err := r.model.Load(ck.State); err != nil {
		return fmt.Errorf("load checkpoint %s: %w", ck.Entry.Manifest, err)
	}
	r.spare = ck.State
	if err := r.recall(); err != nil {
		return err
	}
	r.step, r.restoredFrom, r.lastSaved = ck.Step, ck.Step, ck.Step
	for _, e := range ck.Skipped {
		r.say.event(Event{Type: EventStorage, Step: e.Step, Message: fmt.Sprintf("checkpoint %s is bad (%s); an older one is used", e.Manifest, e.Bad)})
	}
	r.ready()
	r.say.event(Event{Type: EventRestored, Step: r.step, RestoredFrom: r.step, Seconds: ck.Took.Seconds(), Bytes: ck.Bytes})
	return nil
}

// ready announces where training begins.
func (r *run) ready() {
	r.meta.CodeVersion = version.Code()
	r.lastSave = r.o.Now()
	r.say.progress(func(e *Event) {
		e.Step, e.Total, e.CommittedStep, e.BestExactAccuracy = r.step, r.total, r.step, r.meta.BestExactAccuracy
	})
}

// recall reads back what Extra holds of earlier attempts.
func (r *run) recall() error {
	raw, ok := r.meta.Extra["goodput"]
	if !ok {
		return nil
	}
	if err := json.Unmarshal(raw, &r.prior); err != nil {
		return fmt.Errorf("goodput in the manifest of run %s: %w", r.o.Run, err)
	}
	return nil
}

// loop takes one optimizer step after the other.
func (r *run) loop(ctx context.Context) error {
	last := r.total
	if r.o.MaxSteps > 0 {
		last = min(last, r.o.MaxSteps)
	}
	r.state(StateCompiling) // the first step of a process compiles
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
		if r.told() {
			return errTold
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
	mt, err := r.model.Step(trm.StepInput{
		Inputs: f.batch.Inputs, Labels: f.batch.Labels, PuzzleIDs: f.batch.PuzzleIDs, MinSteps: f.minSteps,
		Step: step, LR: lr, PuzzleEmbLR: r.spec.PuzzleEmbLRAt(step),
	})
	if err != nil {
		return fmt.Errorf("step %d of %s: %w", step, r.spec.Name, err)
	}
	if !mt.Finite {
		_ = r.drain(ctx) // an older step may be on its way: it is then the last good one
		return fmt.Errorf("%w: step %d of %s (loss %v); %s; a lower lr or a longer warm-up may help", ErrDiverged, step, r.spec.Name, mt.Loss, r.lastGood())
	}
	now := r.o.Now()
	r.ledger.Add(step, f.batch, f.minSteps)
	f.release()
	r.step = step
	r.state(StateTraining)
	r.observe(now.Sub(begin).Seconds())
	every := int64(max(1, r.spec.LogEverySteps))
	r.log.step(step, r.spec.GlobalBatchSize, mt, lr, step%every == 0 || step == r.total, now)
	r.say.progress(func(e *Event) {
		e.Step, e.LR = step, lr
		e.Loss, e.LMLoss = mt.Loss/float64(r.spec.GlobalBatchSize), mt.LMLoss/float64(r.spec.GlobalBatchSize)
		if mt.Count > 0 {
			e.Accuracy, e.ExactAccuracy = mt.Accuracy/mt.Count, mt.ExactAccuracy/mt.Count
		}
		e.StepsPerSecond = 1 / max(r.stepSeconds, 1e-9)
		e.ETASeconds = float64(r.total-step) * r.stepSeconds
		e.Goodput = r.watch.snapshot()
	})
	return nil
}

// observe keeps a running mean of the step time; the first step, which compiles, does not count.
func (r *run) observe(seconds float64) {
	switch {
	case r.step == r.restoredFrom+1:
	case r.stepSeconds == 0:
		r.stepSeconds = seconds
	default:
		r.stepSeconds += 0.1 * (seconds - r.stepSeconds)
	}
}

// state switches bucket and announces it.
func (r *run) state(s string) {
	r.watch.switchTo(s)
	r.say.progress(func(e *Event) {
		e.State = s
		e.Goodput = r.watch.snapshot()
	})
}

func (r *run) result() Result {
	res := Result{Run: r.o.Run, Step: r.step, Total: r.total, Finished: r.meta.Final, SpecHash: r.spec.Hash(), Seed: r.spec.Seed,
		DatasetHash: r.meta.DatasetHash, BestExactAccuracy: r.meta.BestExactAccuracy, BestStep: r.meta.BestStep,
		RestoredFromStep: r.restoredFrom, Backend: r.info.Name}
	if r.ledger != nil {
		res.LedgerSHA256 = r.ledger.Digest()
	}
	return res
}

// close ends everything that runs beside the step loop, and frees the rest.
func (r *run) close(cancel context.CancelCauseFunc) {
	cancel(nil)
	r.say.close()
	if r.saver != nil { // nothing of an attempt reaches the store after its end
		wait, stop := context.WithTimeout(context.Background(), closePatience)
		_ = r.saver.Wait(wait)
		stop()
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
