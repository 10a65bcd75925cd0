package train

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"trmsweep/internal/blob"
	"trmsweep/internal/blob/disk"
	"trmsweep/internal/blob/mem"
	"trmsweep/internal/checkpoint"
	"trmsweep/internal/protocol"
)

func TestResumeAfterMaxSteps(t *testing.T) {
	d, err := disk.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	from := int64(0)
	for _, to := range []int64{1, 8, 8, 23, 24} { // 8 is a step with an evaluation
		a := attempt(t, d, tiny(t), func(o *Options) { o.MaxSteps = to })
		if a.err != nil {
			t.Fatal(a.err)
		}
		want := a.res
		want.Step, want.RestoredFromStep, want.Finished = to, from, to == 24
		if diff := cmp.Diff(want, a.res); diff != "" {
			t.Fatalf("up to step %d from %d (-want +got):\n%s", to, from, diff)
		}
		if a.res.StateSHA256 == "" {
			t.Fatalf("up to step %d from %d: no hash of the state", to, from)
		}
		from = to
		if to == 24 {
			same(t, d, a)
		}
	}
}

// A notice loses nothing, wherever it arrives: its step is committed, and the next attempt goes on from there.
func TestNotice(t *testing.T) {
	for _, c := range []struct {
		name string
		when func(protocol.Event) bool
		step int64
	}{
		{"before the first step", func(e protocol.Event) bool { return e.State == protocol.StateRestoring }, 0},
		{"while it waits for its programs", func(e protocol.Event) bool { return e.State == protocol.StateCompiling }, 0},
		{"in training", func(e protocol.Event) bool { return e.State == protocol.StateTraining && e.Step == 10 }, 10},
		{"in an evaluation", func(e protocol.Event) bool { return e.DonePuzzles == 4 && e.Step == 16 }, 16},
		{"in the last evaluation", func(e protocol.Event) bool { return e.DonePuzzles == 4 && e.Puzzles == 6 }, 24},
		{"while saving", func(e protocol.Event) bool { return e.State == protocol.StateSaving && e.Step == 8 }, 8},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := mem.New(nil)
			notice := make(chan string, 1)
			once := sync.Once{}
			a := attempt(t, b, tiny(t), func(o *Options) {
				o.Notice = notice
				record := o.Events
				o.Events = func(e protocol.Event) {
					record(e)
					if c.when(e) {
						once.Do(func() { notice <- "spot capacity is taken back" })
					}
				}
			})
			if !errors.Is(a.err, ErrPreempted) || !strings.Contains(a.err.Error(), "taken back") {
				t.Fatalf("%v", a.err)
			}
			if a.res.Step != c.step || len(a.of(protocol.EventNotice)) != 1 {
				t.Fatalf("stopped at step %d with %d notices, want step %d", a.res.Step, len(a.of(protocol.EventNotice)), c.step)
			}
			m, _, err := checkpoint.Newest(t.Context(), blob.Prefix(b, "runs/r/"))
			if err != nil {
				t.Fatal(err)
			}
			committed := ""
			if m != nil { // nothing is committed of step 0
				committed = m.StateSHA256
			}
			if (m == nil) != (c.step == 0) || a.res.StateSHA256 != committed || a.res.CommittedStep != c.step {
				t.Errorf("digest %q, committed step %d; in the store %q", a.res.StateSHA256, a.res.CommittedStep, committed)
			}
			a = attempt(t, b, tiny(t))
			same(t, b, a)
			if a.res.RestoredFromStep != c.step {
				t.Errorf("resumed from step %d, want %d", a.res.RestoredFromStep, c.step)
			}
		})
	}
}

// dying is storage that works for some operations and then never again, as for a
// process that is killed: the last operation fails, or happens and is not heard of, or the process's context ends in it.
type dying struct {
	blob.Bucket
	mu     sync.Mutex
	left   int
	how    int
	cancel func()
}

const (
	fails = iota
	lost
	cancels
	ways
)

var errDead = fmt.Errorf("the storage is gone: %w", blob.ErrTransient)

// spend reports whether the operation happens and what its caller hears.
func (d *dying) spend() (happens bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left--
	switch {
	case d.left > 0:
		return true, nil
	case d.left == 0 && d.how == cancels:
		d.cancel()
		return true, nil
	}
	return d.left == 0 && d.how == lost, errDead
}

func (d *dying) Put(ctx context.Context, key string, body io.ReaderAt, size, ifGen int64) (a blob.Attr, err error) {
	happens, dead := d.spend()
	if happens {
		a, err = d.Bucket.Put(ctx, key, body, size, ifGen)
	}
	return a, errors.Join(err, dead)
}

func (d *dying) Get(ctx context.Context, key string, generation int64) (io.ReadCloser, blob.Attr, error) {
	if _, dead := d.spend(); dead != nil {
		return nil, blob.Attr{}, dead
	}
	return d.Bucket.Get(ctx, key, generation)
}

func (d *dying) Stat(ctx context.Context, key string) (blob.Attr, error) {
	if _, dead := d.spend(); dead != nil {
		return blob.Attr{}, dead
	}
	return d.Bucket.Stat(ctx, key)
}

func (d *dying) List(ctx context.Context, prefix string) iter.Seq2[blob.Attr, error] {
	if _, dead := d.spend(); dead != nil {
		return func(yield func(blob.Attr, error) bool) { yield(blob.Attr{}, dead) }
	}
	return d.Bucket.List(ctx, prefix)
}

func (d *dying) Delete(ctx context.Context, key string, generation int64) (err error) {
	happens, dead := d.spend()
	if happens {
		err = d.Bucket.Delete(ctx, key, generation)
	}
	return errors.Join(err, dead)
}

// Attempts that die at every possible operation, one after the other on one run, end in the undisturbed run.
func TestKilledAnywhere(t *testing.T) {
	kills := 0
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			b := mem.New(nil)
			for try := 0; ; try++ {
				d := &dying{Bucket: b, left: 1 + rnd.IntN(45), how: rnd.IntN(ways)}
				ctx, cancel := context.WithCancel(t.Context())
				d.cancel = cancel
				a := attemptIn(ctx, t, d, tiny(t))
				cancel()
				if a.err == nil {
					same(t, b, a)
					return
				}
				if !errors.Is(a.err, blob.ErrTransient) && !errors.Is(a.err, context.Canceled) {
					t.Fatal(a.err)
				}
				kills++
				if try == 200 {
					t.Fatal("no end in sight")
				}
			}
		})
	}
	t.Log(kills, "kills")
	if kills < 15 {
		t.Errorf("%d kills are too few to say anything", kills)
	}
}

// Where the spec fixes no interval, it is chosen from what was measured, and the run is the same one.
func TestIntervalIsChosen(t *testing.T) {
	b := mem.New(nil)
	a := attempt(t, b, tiny(t, "checkpoint_every_steps=0"))
	same(t, b, a)
	if n := len(a.of(protocol.EventCheckpoint)); n < 3 {
		t.Errorf("%d checkpoints", n)
	}
	said := a.of(protocol.EventInterval)
	if len(said) == 0 || !strings.Contains(said[0].Message, "Young/Daly") {
		t.Errorf("said %+v", said)
	}
	for _, e := range attempt(t, mem.New(nil), tiny(t)).of(protocol.EventInterval) {
		if !strings.Contains(e.Message, "every 3 steps: fixed") {
			t.Errorf("said %q", e.Message)
		}
	}
}

// Hosts whose clocks are days apart continue each other's run: nothing compares their times.
func TestClocksApart(t *testing.T) {
	b := mem.New(nil)
	for i, skew := range []time.Duration{72 * time.Hour, -72 * time.Hour, 0} {
		a := attempt(t, b, tiny(t, "checkpoint_every_steps=0"), func(o *Options) {
			now := clock()
			o.Now = func() time.Time { return now().Add(skew) }
			o.MaxSteps = []int64{9, 17, 0}[i]
		})
		if a.err != nil {
			t.Fatal(a.err)
		}
		for _, e := range a.of(protocol.EventInterval) {
			if !strings.Contains(e.Message, "Young/Daly") || strings.Contains(e.Message, " -") {
				t.Errorf("clock %s: %s", skew, e.Message)
			}
		}
		if i == 2 {
			same(t, b, a)
			if a.res.RestoredFromStep != 17 {
				t.Errorf("restored from step %d", a.res.RestoredFromStep)
			}
		}
	}
}

// The gap between the last checkpoint and the result is filled by the next attempt.
func TestKilledBeforeTheResult(t *testing.T) {
	b := mem.New(nil)
	a := attempt(t, refusing{b, "result.json"}, tiny(t))
	if !errors.Is(a.err, blob.ErrTransient) || a.res.Step != 24 {
		t.Fatalf("%+v %v", a.res, a.err)
	}
	a = attempt(t, b, tiny(t))
	same(t, b, a)
	if a.res.RestoredFromStep != 24 {
		t.Errorf("%+v", a.res)
	}
}

// refusing cannot store objects whose key ends in suffix.
type refusing struct {
	blob.Bucket
	suffix string
}

func (r refusing) Put(ctx context.Context, key string, body io.ReaderAt, size, ifGen int64) (blob.Attr, error) {
	if strings.HasSuffix(key, r.suffix) {
		return blob.Attr{}, errDead
	}
	return r.Bucket.Put(ctx, key, body, size, ifGen)
}

// olderHead keeps the HEAD.json that listed n checkpoints first.
type olderHead struct {
	blob.Bucket
	n    int
	head []byte
}

func (o *olderHead) Put(ctx context.Context, key string, body io.ReaderAt, size, ifGen int64) (blob.Attr, error) {
	data := make([]byte, size)
	if _, err := body.ReadAt(data, 0); err != nil && err != io.EOF {
		return blob.Attr{}, err
	}
	var h checkpoint.Head
	if path.Base(key) == "HEAD.json" && o.head == nil && json.Unmarshal(data, &h) == nil && len(h.Entries) == o.n {
		o.head = data
	}
	return o.Bucket.Put(ctx, key, body, size, ifGen)
}

// An older HEAD.json of the attempt that trained last is put back: the next one goes on from the
// newest whole checkpoint, so that no step is trained twice, and ends where an undisturbed run does.
func TestOlderHeadOfTheLastAttempt(t *testing.T) {
	for _, n := range []int{0, 1, 2, 4} {
		b := mem.New(nil)
		o := &olderHead{Bucket: b, n: n}
		a := attempt(t, o, tiny(t, "checkpoint_every_steps=2", "keep_checkpoints=9"), func(o *Options) { o.MaxSteps = 11 })
		if a.err != nil || o.head == nil {
			t.Fatal(a.err, "no HEAD.json was kept")
		}
		committed := head(t, b).Entries
		if _, err := blob.PutBytes(t.Context(), b, "runs/r/HEAD.json", o.head, blob.Any); err != nil {
			t.Fatal(err)
		}
		a = attempt(t, b, tiny(t))
		if a.err != nil || a.res.RestoredFromStep != committed[len(committed)-1].Step {
			t.Errorf("HEAD.json of %d checkpoints: restored from step %d, committed %+v, %v", n, a.res.RestoredFromStep, committed, a.err)
		}
		same(t, b, a)
	}
}
