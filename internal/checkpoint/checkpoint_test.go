package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nlpodyssey/safetensors"

	"trmsweep/internal/blob"
	"trmsweep/internal/blob/disk"
	"trmsweep/internal/blob/mem"
	"trmsweep/internal/tensor"
)

var quiet = WithLogger(slog.New(slog.DiscardHandler))

// state is a small training state that is different at every step.
func state(step int64) tensor.State {
	b := byte(step)
	return tensor.State{
		"param/w":      {DType: tensor.F32, Shape: []int{2, 3}, Data: bytes.Repeat([]byte{b, 1, 2, 3}, 6)},
		"carry/z_H":    {DType: tensor.BF16, Shape: []int{3}, Data: bytes.Repeat([]byte{b, 7}, 3)},
		"carry/halted": {DType: tensor.Bool, Shape: []int{3}, Data: []byte{1, 0, b & 1}},
		"carry/inputs": {DType: tensor.U8, Shape: []int{1, 5}, Data: bytes.Repeat([]byte{b}, 5)},
		"carry/steps":  {DType: tensor.I32, Shape: []int{1}, Data: []byte{b, 0, 0, 0}},
		"scalar":       {DType: tensor.I64, Data: []byte{b, 0, 0, 0, 0, 0, 0, 0}},
	}
}

func snap(step int64) Snapshot {
	return Snapshot{
		Step: step, State: state(step), Meta: Meta{Seed: 3, DataStep: step, BatchSHA256: fmt.Sprint("l", step)},
		MetricsJSONL: fmt.Appendf(nil, "{\"step\":%d}\n", step), TFEvents: []byte("tf"),
	}
}

func acquire(t *testing.T, b blob.Bucket, opts ...Option) *Writer {
	t.Helper()
	w, err := Acquire(t.Context(), b, Owner{Host: "h"}, append([]Option{quiet}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func save(t *testing.T, w *Writer, steps ...int64) {
	t.Helper()
	for _, s := range steps {
		if _, err := w.Save(t.Context(), snap(s)); err != nil {
			t.Fatal(err)
		}
	}
}

// restored acquires, restores and checks that the state and the log are exactly those of step.
func restored(t *testing.T, b blob.Bucket, step int64) (*Writer, *Checkpoint) {
	t.Helper()
	w := acquire(t, b)
	c, err := w.Restore(t.Context())
	if err != nil || c == nil {
		t.Fatalf("restore: %+v, %v", c, err)
	}
	if c.Step != step || c.State.SHA256() != state(step).SHA256() || c.Manifest.Meta.DataStep != step {
		t.Fatalf("restored step %d, want %d", c.Step, step)
	}
	return w, c
}

// summary is what tests compare of a Report. Most start from a copy of what they got and set the fields that they hold.
type summary struct {
	OK      bool
	Rebuilt bool
	Listed  int    // checkpoints that HEAD lists
	Newest  int64  // step of the newest valid manifest; -1 if there is none
	Metrics int    // pieces of its log
	Orphans string // their keys
}

func verified(t *testing.T, b blob.Bucket) summary {
	t.Helper()
	r, err := Verify(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	s := summary{OK: r.OK, Rebuilt: r.Rebuilt != "", Listed: len(r.Checkpoints), Newest: -1}
	for _, o := range r.Orphans {
		s.Orphans += o.Key + "\n"
	}
	if r.Newest != nil {
		s.Newest, s.Metrics = r.Newest.Step, len(r.Newest.Metrics)
	}
	return s
}

func TestSaveAndRestore(t *testing.T) {
	d, err := disk.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]blob.Bucket{"mem": mem.New(nil), "disk": d} {
		t.Run(name, func(t *testing.T) {
			w := acquire(t, b)
			if c, err := w.Restore(t.Context()); c != nil || err != nil {
				t.Fatal(c, err)
			}
			save(t, w, 1, 2, 3, 4, 5)
			w, c := restored(t, b, 5)
			log, err := ReadMetrics(t.Context(), b, c.Manifest)
			if err != nil || strings.Count(string(log), "\n") != 5 {
				t.Fatalf("%q %v", log, err)
			}
			if w.Term() != 2 || len(w.Head().Entries) != DefaultKeep {
				t.Fatalf("%+v", w.Head())
			}
			got := verified(t, b)
			want := got
			want.OK, want.Orphans, want.Newest = true, "", 5
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("verification (-want +got):\n%s", diff)
			}
		})
	}
}

func TestStateFileIsTheLibrarys(t *testing.T) {
	f, err := newStateFile(state(9))
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := safetensors.Deserialize(data); err != nil {
		t.Fatal(err)
	}
	got, err := decodeState(data)
	if err != nil || got.SHA256() != state(9).SHA256() {
		t.Fatal(err)
	}
	for off := range f.Size() {
		p := make([]byte, min(5, f.Size()-off))
		if n, err := f.ReadAt(p, off); n != len(p) || err != nil || !bytes.Equal(p, data[off:off+int64(n)]) {
			t.Fatalf("read at %d: %d %v", off, n, err)
		}
	}
}

func TestFenced(t *testing.T) {
	b := mem.New(nil)
	zombie := acquire(t, b)
	save(t, zombie, 1)
	w, _ := restored(t, b, 1)
	if _, err := zombie.Save(t.Context(), snap(2)); !errors.Is(err, ErrFenced) {
		t.Fatal(err)
	}
	if err := zombie.Check(t.Context()); !errors.Is(err, ErrFenced) {
		t.Fatal(err)
	}
	if _, err := zombie.Clean(t.Context()); !errors.Is(err, ErrFenced) {
		t.Fatal(err)
	}
	save(t, w, 2)
	restored(t, b, 2)
}

func TestSixteenWriters(t *testing.T) {
	b := mem.New(nil)
	var wg sync.WaitGroup
	var mu sync.Mutex
	terms := map[int64]bool{}
	for i := range 16 {
		wg.Go(func() {
			w, err := Acquire(t.Context(), b, Owner{Attempt: i}, quiet)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			if terms[w.Term()] {
				t.Errorf("term %d twice", w.Term())
			}
			terms[w.Term()] = true
			mu.Unlock()
			if _, err := w.Save(t.Context(), snap(int64(i))); err != nil && !errors.Is(err, ErrFenced) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if r, err := Verify(t.Context(), b); err != nil || !r.OK || r.Head.Term != 16 {
		t.Fatal(r.Head, err)
	}
}

// late is a bucket in which another attempt acquires the run and begins to save between two looks at it.
type late struct {
	blob.Bucket
	once sync.Once
	come func()
}

func (l *late) List(ctx context.Context, prefix string) iter.Seq2[blob.Attr, error] {
	l.once.Do(l.come)
	return l.Bucket.List(ctx, prefix)
}

// A run that another attempt has just begun, with files but no manifest yet, is not a lost one.
func TestAcquireBesideAFreshRun(t *testing.T) {
	b := mem.New(nil)
	l := &late{Bucket: b, come: func() {
		w := acquire(t, b)
		if _, err := blob.PutBytes(t.Context(), b, w.Begin(1).dir()+stateName(0, 1), []byte("x"), blob.Absent); err != nil {
			t.Error(err)
		}
	}}
	if w := acquire(t, l); w.Term() != 2 {
		t.Errorf("term %d", w.Term())
	}
}

// Every file of the newest checkpoint is damaged in turn: the older one is used, and the newer marked.
func TestFallback(t *testing.T) {
	damages := map[string]func([]byte) []byte{
		"flipped":   func(d []byte) []byte { d[len(d)/2] ^= 1; return d },
		"truncated": func(d []byte) []byte { return d[:len(d)/2] },
		"missing":   nil,
	}
	for _, file := range []string{manifestName, stateName(0, 1)} {
		for name, damage := range damages {
			t.Run(file+" "+name, func(t *testing.T) {
				b := mem.New(nil)
				w := acquire(t, b)
				save(t, w, 1, 2)
				key := path.Dir(w.Head().Entries[1].Manifest) + "/" + file
				if damage == nil {
					b.Delete(t.Context(), key, blob.Any)
				} else {
					b.Tamper(key, damage)
				}
				if r, err := Verify(t.Context(), b); err != nil || r.OK {
					t.Fatal("verify is content", err)
				}
				w, c := restored(t, b, 1)
				if len(c.Skipped) != 1 || c.Skipped[0].Bad == "" || w.Head().Entries[1].Bad == "" {
					t.Fatalf("%+v", c.Skipped)
				}
				save(t, w, 2)
				restored(t, b, 2)
			})
		}
	}
}

func TestAllBad(t *testing.T) {
	b := mem.New(nil)
	w := acquire(t, b)
	save(t, w, 1, 2)
	for _, e := range w.Head().Entries {
		b.Tamper(e.dir()+stateName(0, 1), func(d []byte) []byte { return d[1:] })
	}
	for range 2 { // the verdict does not change the run
		if c, err := acquire(t, b).Restore(t.Context()); !errors.Is(err, ErrAllBad) || c != nil {
			t.Fatal(c, err)
		}
	}
	if c, err := acquire(t, &faulty{Bucket: b, at: 99}).Restore(t.Context()); c != nil || !errors.Is(err, ErrAllBad) {
		t.Fatal(err)
	}
}

func TestTransientIsNotBad(t *testing.T) {
	b := mem.New(nil)
	save(t, acquire(t, b), 1)
	w := acquire(t, b)
	w.b = &faulty{Bucket: b}
	if _, err := w.Restore(t.Context()); !errors.Is(err, blob.ErrTransient) || errors.Is(err, ErrAllBad) {
		t.Fatal(err)
	}
}

func TestLostHead(t *testing.T) {
	for _, how := range []string{"deleted", "torn", "garbage"} {
		b := mem.New(nil)
		old := acquire(t, b)
		save(t, old, 1, 2)
		switch how {
		case "deleted":
			b.Delete(t.Context(), headKey, blob.Any)
		case "torn":
			b.Tamper(headKey, func(d []byte) []byte { return d[:9] })
		case "garbage":
			blob.PutBytes(t.Context(), b, headKey, []byte("{"), blob.Any)
		}
		w, _ := restored(t, b, 2)
		if len(w.Head().Entries) != 2 {
			t.Fatalf("%s: %+v", how, w.Head())
		}
		if _, err := old.Save(t.Context(), snap(3)); !errors.Is(err, ErrFenced) {
			t.Fatal(err)
		}
	}
}

func TestGrace(t *testing.T) {
	now := time.Unix(1e9, 0)
	b := mem.New(func() time.Time { return now })
	w := acquire(t, b)
	save(t, w, 1)
	w.b = &faulty{Bucket: b, at: writes - 1}
	w.Save(t.Context(), snap(2))
	for _, c := range []struct {
		age  time.Duration
		left int
	}{{59 * time.Minute, 1}, {2 * time.Minute, 0}} {
		now = now.Add(c.age)
		w, _ := restored(t, b, 1)
		if _, err := w.Clean(t.Context()); err != nil {
			t.Fatal(err)
		}
		if r, err := Verify(t.Context(), b); err != nil || len(r.Orphans) != c.left {
			t.Fatalf("after %s: %+v %v", c.age, r.Orphans, err)
		}
	}
}

func TestKeep(t *testing.T) {
	b := mem.New(nil)
	w := acquire(t, b, WithKeep(2))
	for step := int64(1); step <= 6; step++ {
		s := snap(step)
		s.Milestone = step == 1
		s.Meta.BestStep, s.Meta.BestExactAccuracy = min(step, 3), 0.5
		if _, err := w.Save(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	var steps []int64
	for _, e := range w.Head().Entries {
		steps = append(steps, e.Step)
	}
	if fmt.Sprint(steps) != "[1 3 5 6]" || !w.Head().Entries[1].Best {
		t.Fatal(steps)
	}
}

func TestSaverOneInFlight(t *testing.T) {
	b := mem.New(nil)
	w := acquire(t, b)
	s := NewSaver(t.Context(), w)
	w.mu.Lock() // the save cannot end
	ok, err := s.Start(func() (Snapshot, error) { return snap(1), nil })
	if !ok || err != nil || !s.Busy() {
		t.Fatal(ok, err)
	}
	ok, _ = s.Start(func() (Snapshot, error) { t.Error("a second copy was taken"); return Snapshot{}, nil })
	if ok {
		t.Fatal("two in flight")
	}
	w.mu.Unlock()
	if err := s.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r, ok := s.Poll(); !ok || r.Err != nil || r.Commit.Step != 1 {
		t.Fatalf("%+v", r)
	}
	restored(t, b, 1)
}

// The step loop looks at HEAD while a save waits for storage that is away.
func TestHeadDoesNotWaitForASave(t *testing.T) {
	b := mem.New(nil)
	w := acquire(t, b)
	save(t, w, 1)
	asked, away := make(chan bool), make(chan bool)
	w.b = &stopped{Bucket: b, at: 1, meanwhile: func() { asked <- true; <-away }}
	done := make(chan error)
	go func() { _, err := w.Save(t.Context(), snap(2)); done <- err }()
	<-asked
	read := make(chan Head)
	go func() { read <- w.Head() }()
	select {
	case h := <-read:
		if len(h.Entries) != 1 || h.Entries[0].Step != 1 {
			t.Errorf("%+v", h)
		}
	case <-time.After(time.Minute):
		t.Error("Head waits for the save")
	}
	close(away)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if h := w.Head(); len(h.Entries) != 2 {
		t.Errorf("after the save: %+v", h)
	}
}

func TestInterval(t *testing.T) {
	c := ChooseInterval(IntervalInput{StepSeconds: 0.1, StallSeconds: 0.05, PersistSeconds: 1, Preemptions: 1, Observed: 2 * time.Hour})
	// Young: sqrt(2 * 0.05 * 14400) = 37.9 s.
	if c.Steps < 370 || c.Steps > 380 || !strings.Contains(c.Reason, "Young/Daly") {
		t.Fatalf("%+v", c)
	}
	if c := ChooseInterval(IntervalInput{FixedSteps: 7, StepSeconds: 1}); c.Steps != 7 || !strings.Contains(c.Reason, "fixed") {
		t.Fatalf("%+v", c)
	}
	if c := ChooseInterval(IntervalInput{StepSeconds: 1, StallSeconds: 0.001, PersistSeconds: 90}); c.Steps != 90 {
		t.Fatalf("%+v", c)
	}
}
