package train

import (
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"trmsweep/internal/blob"
	"trmsweep/internal/blob/mem"
	"trmsweep/internal/checkpoint"
	"trmsweep/internal/protocol"
)

const forever = 1 << 30

func (d *dying) allow(operations int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left = operations
}

// Storage goes away at step 4 and comes back when training has gone on to step 7 and has said so.
func TestTrainingGoesOnThroughAnOutage(t *testing.T) {
	b := mem.New(nil)
	d := &dying{Bucket: b, left: forever}
	var step, said atomic.Int64
	a := attempt(t, d, tiny(t), func(o *Options) {
		o.Patience = time.Hour
		record := o.Events
		o.Events = func(e protocol.Event) {
			record(e)
			step.Store(max(step.Load(), e.Step))
			switch {
			case e.Type == protocol.EventProgress && e.Step == 4 && said.Load() == 0:
				d.allow(0)
			case e.Type == protocol.EventStorage && said.Add(1) >= 2 && step.Load() >= 7:
				d.allow(forever)
			}
		}
	})
	same(t, b, a)
	if said.Load() < 2 || a.res.RestoredFromStep != 0 {
		t.Errorf("%d storage events, %+v", said.Load(), a.res)
	}
}

// An outage that is longer than patience ends the attempt in a way that is worth another one.
func TestOutageLongerThanPatience(t *testing.T) {
	b := mem.New(nil)
	d := &dying{Bucket: b, left: forever}
	away := false
	a := attempt(t, d, tiny(t), func(o *Options) {
		o.Patience = 20 * time.Millisecond
		record := o.Events
		o.Events = func(e protocol.Event) {
			record(e)
			if e.Step >= 7 && !away {
				away = true
				awaitCommit(t, b) // a save runs beside training, which may be faster
				d.allow(0)
			}
		}
	})
	if !errors.Is(a.err, blob.ErrTransient) || IsUserError(a.err) || len(a.of(protocol.EventStorage)) == 0 {
		t.Fatalf("%v, %d storage events", a.err, len(a.of(protocol.EventStorage)))
	}
	a = attempt(t, b, tiny(t))
	same(t, b, a)
	if a.res.RestoredFromStep == 0 {
		t.Error("nothing had been committed")
	}
}

// awaitCommit returns once run r has a checkpoint in b.
func awaitCommit(t *testing.T, b blob.Bucket) {
	t.Helper()
	for range 2000 {
		h, err := checkpoint.ReadHead(t.Context(), blob.Prefix(b, "runs/r/"))
		if err != nil {
			t.Error(err)
			return
		}
		if _, ok := newestGood(h); ok {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Error("no checkpoint in ten seconds")
}

// However long the storage is away, one copy of the state waits for it.
func TestOutageTakesNoMemory(t *testing.T) {
	b := mem.New(nil)
	d := &dying{Bucket: b, left: forever}
	var early, late int64
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	spec := tiny(t, "epochs=20", "eval_interval_epochs=20", "checkpoint_every_steps=1")
	a := attempt(t, d, spec, func(o *Options) {
		o.Patience = time.Hour
		o.Events = func(e protocol.Event) {
			switch {
			case e.Type != protocol.EventProgress || e.State != protocol.StateTraining:
			case e.Step == 10:
				d.allow(0)
			case e.Step == 20 && early == 0:
				early = heap()
			case e.Step == 79 && late == 0:
				late = heap()
				d.allow(forever)
			}
		}
	})
	if a.err != nil || a.res.Step != 80 {
		t.Fatalf("%+v %v", a.res, a.err)
	}
	if state := spec.CheckpointBytes(); early == 0 || late-early > 10*state {
		t.Errorf("the heap grew from %d to %d bytes in 59 steps of an outage; a state has %d", early, late, state)
	}
}

// What comes before the first step waits for storage no longer than until a notice: there is nothing to save.
func TestNoticeEndsTheStart(t *testing.T) {
	for _, allowed := range []int{0, 1, 2, 3, 4} {
		d := &dying{Bucket: mem.New(nil), left: allowed}
		notice := make(chan string, 1)
		a := attempt(t, d, tiny(t), func(o *Options) {
			o.Patience, o.Notice = time.Hour, notice
			record := o.Events
			o.Events = func(e protocol.Event) {
				record(e)
				if e.Type == protocol.EventStorage && len(notice) == 0 {
					notice <- "signal"
				}
			}
		})
		if !errors.Is(a.err, ErrPreempted) || !strings.Contains(a.err.Error(), "signal") || len(a.of(protocol.EventNotice)) != 1 ||
			a.res.Step != 0 {
			t.Errorf("%d operations: %+v, %v", allowed, a.res, a.err)
		}
	}
}
