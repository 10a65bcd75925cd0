package train

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"trmsweep/internal/blob/patient"
	"trmsweep/internal/checkpoint"
	"trmsweep/internal/layout"
	"trmsweep/internal/protocol"
	"trmsweep/internal/trm"
	"trmsweep/internal/version"
)

// prepare opens the dataset and takes the run's fence. Beside it, the programs are made ready. done: the run was complete before.
func (r *run) prepare(ctx context.Context) (res protocol.AttemptResult, done bool, err error) {
	if err := r.spec.Validate(); err != nil {
		return r.result(), false, err
	}
	r.bucket = patient.New(r.o.Bucket, r.o.Patience, r.storage)
	if r.unnamed {
		if err := r.findName(ctx); err != nil {
			return r.result(), false, err
		}
	}
	r.runs = layout.Run(r.bucket, r.o.Run)
	there, err := r.peek(ctx)
	if err != nil {
		return r.result(), false, err
	}
	if res, done, err := r.complete(ctx, there); done || err != nil {
		return res, done, err
	}
	r.programs = r.startPrograms(ctx, there)
	if err := r.openData(ctx); err != nil {
		return r.result(), false, err
	}
	if there != nil {
		if err := r.matches(ctx, there.Meta, r.meta.DatasetHash); err != nil {
			return r.result(), false, err
		}
	}
	r.config = trm.ConfigFromSpec(r.spec, r.train.NumPuzzleIdentifiers())
	if err := r.config.Validate(); err != nil {
		return r.result(), false, fmt.Errorf("build model of %s: %w", r.spec.Name, err)
	}
	r.programs.config <- r.config
	return r.result(), false, r.acquire(ctx)
}

// findName looks for the run under the names that this program and older ones give it.
func (r *run) findName(ctx context.Context) (err error) {
	if r.o.Run, err = checkpoint.FindRun(ctx, r.bucket, r.spec.RunNames()); err != nil {
		return err
	}
	if name := r.spec.RunName(); r.o.Run != name {
		r.o.Logger.Info("the run was begun by an older version of the program and keeps its name", "run", r.o.Run, "new_runs_would_be", name)
	}
	return nil
}

// storage tells of a store that fails, and of one that answers again (err is nil).
func (r *run) storage(op, key string, err error, waited time.Duration) {
	r.storageWaits(op+" "+key, err, waited)
	if err == nil {
		message := fmt.Sprintf("%s %s: storage answers again after %s", op, key, waited.Round(time.Millisecond))
		r.events.event(protocol.Event{Type: protocol.EventStorage, Seconds: waited.Seconds(), Message: message})
		r.o.Logger.Info("storage answers again", "op", op, "key", key, "waited", waited.Round(time.Millisecond))
		return
	}
	r.events.event(protocol.Event{Type: protocol.EventStorage, Seconds: waited.Seconds(), Message: fmt.Sprintf("%s %s: %v", op, key, err)})
	r.o.Logger.Warn("storage is failing, waiting", "op", op, "key", key, "error", err, "waited", waited.Round(time.Millisecond))
}

// acquire takes the run's fence.
func (r *run) acquire(ctx context.Context) (err error) {
	r.writer, err = checkpoint.Acquire(ctx, r.runs, r.o.Owner,
		checkpoint.WithKeep(r.spec.KeepCheckpoints), checkpoint.WithLogger(r.o.Logger),
		checkpoint.WithGrace(r.o.Grace), checkpoint.WithClock(r.o.Now), checkpoint.WithYield(r.leave))
	if err != nil {
		return fmt.Errorf("acquire run %s: %w", r.o.Run, err)
	}
	r.saver = checkpoint.NewSaver(r.life, r.writer)
	return nil
}

// leave refuses to take a run that another workflow has taken since it was looked at.
func (r *run) leave(h checkpoint.Head) error {
	if r.o.SeenTerm == nil || h.Term <= *r.o.SeenTerm {
		return nil
	}
	if h.Owner == (checkpoint.Owner{}) || h.Owner.WorkflowID == r.o.Owner.WorkflowID { // HEAD.json was lost; or it is ours
		return nil
	}
	return fmt.Errorf("%w: run %s was taken by %s on %s since this attempt looked", checkpoint.ErrFenced, r.o.Run,
		cmp.Or(h.Owner.WorkflowID, "a process"), h.Owner.Host)
}

// untilNotice runs f under a context that ends with errNotice when a notice arrives, so
// that f waits no longer for a busy device or for storage.
func (r *run) untilNotice(ctx context.Context, f func(ctx context.Context) error) (err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		err = f(ctx)
	}()
	select {
	case why := <-r.o.Notice:
		r.notice = cmp.Or(why, "told to stop")
		cancel(errNotice)
		<-done
	case <-done:
	}
	return err
}

// restore loads the newest good checkpoint, or the start values if there is none.
func (r *run) restore(ctx context.Context) error {
	r.state(protocol.StateRestoring)
	ck, err := r.writer.Restore(ctx)
	if err != nil {
		return fmt.Errorf("restore run %s: %w", r.o.Run, err)
	}
	data := r.meta.DatasetHash
	if ck == nil {
		if err := notImported(ctx, r.runs, r.o.Run); err != nil { // it may have begun since peek
			return err
		}
		r.meta = checkpoint.Meta{WorldSize: 1, Seed: r.spec.Seed, ConfigHash: r.spec.Hash(), DatasetHash: data}
		r.batches, _ = ParseBatchChain("")
		if err := protocol.WriteSpec(ctx, r.runs, r.spec); err != nil {
			return fmt.Errorf("begin run %s: %w", r.o.Run, err)
		}
		r.spare = r.config.InitState(uint64(r.spec.Seed))
		if err := r.awaitModel(ctx); err != nil {
			return err
		}
		err = r.model.Load(r.spare)
		r.ready()
		return err
	}
	r.meta = ck.Manifest.Meta
	if err := r.matches(ctx, r.meta, data); err != nil {
		return err
	}
	if err := r.mendSpec(ctx); err != nil {
		return err
	}
	if r.batches, err = ParseBatchChain(r.meta.BatchSHA256); err != nil {
		return err
	}
	if err := r.awaitModel(ctx); err != nil {
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
	r.digest = ck.Manifest.StateSHA256
	for _, e := range ck.Skipped {
		message := fmt.Sprintf("checkpoint %s is bad (%s); an older one is used", e.Manifest, e.Bad)
		r.events.event(protocol.Event{Type: protocol.EventStorage, Step: e.Step, Message: message})
	}
	r.ready()
	r.events.event(protocol.Event{
		Type: protocol.EventRestored, Step: r.step, RestoredFrom: r.step, Seconds: ck.Took.Seconds(), Bytes: ck.Bytes,
	})
	return nil
}

// awaitModel waits until all programs are ready. This wait is what is counted as compiling.
func (r *run) awaitModel(ctx context.Context) error {
	r.state(protocol.StateCompiling)
	if err := r.programs.wait(ctx); err != nil {
		return err
	}
	r.info, r.model = r.programs.info, r.programs.model
	r.state(protocol.StateRestoring)
	return nil
}

// ready announces where training begins.
func (r *run) ready() {
	r.meta.CodeVersion = version.Code()
	r.compute()
	r.lastSave = r.o.Now()
	r.events.progress(func(e *protocol.Event) {
		e.Step = r.step
		e.Total = r.total
		e.CommittedStep = r.step
		r.tellBest(e)
	})
}

// recall reads back what Extra holds of earlier attempts.
func (r *run) recall() (err error) {
	if r.parts, err = computed(r.meta); err != nil {
		return fmt.Errorf("run %s: %w", r.o.Run, err)
	}
	raw, ok := r.meta.Extra["goodput"]
	if !ok {
		return nil
	}
	if err := json.Unmarshal(raw, &r.prior); err != nil {
		return fmt.Errorf("goodput in the manifest of run %s: %w", r.o.Run, err)
	}
	return nil
}
