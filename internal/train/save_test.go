package train

import (
	"errors"
	"log/slog"
	"testing"

	"trmsweep/internal/blob"
	"trmsweep/internal/blob/mem"
	"trmsweep/internal/checkpoint"
	"trmsweep/internal/protocol"
	"trmsweep/internal/tensor"
)

// Two saves may have ended since the step loop last asked: the last one decides,
// except that divergence and the loss of the fence are final.
func TestDrainHearsOfEverySave(t *testing.T) {
	ok := func(*testing.T, *dying, blob.Bucket) {}
	away := func(_ *testing.T, d *dying, _ blob.Bucket) { d.allow(0) }
	taken := func(t *testing.T, _ *dying, b blob.Bucket) {
		if _, err := checkpoint.Acquire(t.Context(), b, checkpoint.Owner{Host: "successor"}); err != nil {
			t.Fatal(err)
		}
	}
	diverged := func(tensor.State) error { return ErrDiverged }
	for _, c := range []struct {
		name          string
		before, after func(*testing.T, *dying, blob.Bucket) // the first save, the second
		check         func(tensor.State) error              // of the first
		want          error
		log           string // committed at the end
	}{
		{"both well", ok, ok, nil, nil, "1\n2\n"},
		{"the second fails", ok, away, nil, blob.ErrTransient, "1\n"},
		{"the first fails", away, ok, nil, nil, "1\n2\n"},
		{"the first finds the run taken", taken, away, nil, checkpoint.ErrFenced, ""},
		{"the second finds the run taken", ok, taken, nil, checkpoint.ErrFenced, "1\n"},
		{"the first state is not finite", ok, ok, diverged, ErrDiverged, "2\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := mem.New(nil)
			d := &dying{Bucket: b, left: forever}
			w, err := checkpoint.Acquire(t.Context(), d, checkpoint.Owner{})
			if err != nil {
				t.Fatal(err)
			}
			o := Options{Spec: tiny(t), Logger: slog.New(slog.DiscardHandler)}
			o.defaults()
			r := &run{o: o, spec: o.Spec, events: newAnnouncer(o.Events, o.Now), writer: w, saver: checkpoint.NewSaver(t.Context(), w)}
			save := func(step int64, line string, check func(tensor.State) error) {
				started, err := r.saver.Start(func() (checkpoint.Snapshot, error) {
					return checkpoint.Snapshot{Step: step, State: tensor.State{"scalar": {DType: tensor.I64, Data: make([]byte, 8)}},
						MetricsJSONL: []byte(line), Check: check}, nil
				})
				if !started || err != nil {
					t.Fatal(started, err)
				}
			}
			c.before(t, d, b)
			save(1, "1\n", c.check)
			if err := r.saver.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			d.allow(forever)
			c.after(t, d, b)
			save(2, "2\n", nil)
			if err := r.drain(t.Context()); !errors.Is(err, c.want) {
				t.Errorf("drain: %v, want %v", err, c.want)
			}
			d.allow(forever)
			if got := committedLog(t, b); got != c.log {
				t.Errorf("committed log %q, want %q", got, c.log)
			}
		})
	}
}

func committedLog(t *testing.T, b blob.Bucket) string {
	t.Helper()
	h, err := checkpoint.ReadHead(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	e, ok := newestGood(h)
	if !ok {
		return ""
	}
	m, err := checkpoint.ReadManifest(t.Context(), b, e)
	if err != nil {
		t.Fatal(err)
	}
	text, err := checkpoint.ReadMetrics(t.Context(), b, m)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// An interval is chosen as soon as one step has been timed, which compiled nothing, and never before.
func TestIntervalOnceAStepIsTimed(t *testing.T) {
	for _, steps := range []int64{1, 5} {
		a := attempt(t, mem.New(nil), tiny(t, "checkpoint_every_steps=0"), func(o *Options) { o.MaxSteps = steps })
		if a.err != nil {
			t.Fatal(a.err)
		}
		if told := a.of(protocol.EventInterval); len(told) == 0 || told[0].Step < 1 {
			t.Errorf("%d steps: %+v", steps, told)
		}
	}
}
