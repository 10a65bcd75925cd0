package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"trmsweep/internal/blob"
	"trmsweep/internal/blob/mem"
)

// An older HEAD.json of the term that still holds is not believed where whole checkpoints that
// its own holder has committed lie beside it: none is left over, and none is trained again.
func TestOlderHeadOfTheSameTerm(t *testing.T) {
	for _, c := range []struct {
		name     string
		keep     int
		old      int64 // the step at which HEAD.json is copied; 0: before the first commit
		attempts int   // before the one whose HEAD.json is put back
		damage   func(w *Writer, b *mem.Bucket)
		want     int64
		fault    bool // verify says that HEAD.json is older
	}{
		{name: "all checkpoints are there", keep: 9, old: 2, want: 5, fault: true},
		{name: "of an attempt that has restored", keep: 9, old: 2, attempts: 2, want: 5, fault: true},
		{name: "some are deleted", keep: 2, old: 3, want: 5, fault: true},
		{name: "before the first commit", keep: 9, old: 0, want: 5, fault: true},
		{name: "one behind", keep: 9, old: 4, want: 5},
		{name: "the newest manifest is damaged", keep: 9, old: 2, want: 4, fault: true,
			damage: func(w *Writer, b *mem.Bucket) { b.Tamper(w.pentry.Manifest, func([]byte) []byte { return nil }) }},
		{name: "the newest state is damaged", keep: 9, old: 2, want: 4, fault: true,
			damage: func(w *Writer, b *mem.Bucket) {
				b.Tamper(w.pentry.dir()+stateName(0, 1), func([]byte) []byte { return nil })
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := mem.New(nil)
			for range c.attempts {
				w := acquire(t, b, WithKeep(c.keep))
				if _, err := w.Restore(t.Context()); err != nil {
					t.Fatal(err)
				}
				save(t, w, 1)
			}
			w := acquire(t, b, WithKeep(c.keep))
			if _, err := w.Restore(t.Context()); err != nil {
				t.Fatal(err)
			}
			old := headOf(t, b)
			for step := int64(1); step <= 5; step++ {
				save(t, w, step)
				if step == c.old {
					old = headOf(t, b)
				}
			}
			if c.damage != nil {
				c.damage(w, b)
			}
			put(t, b, headKey, old)
			got := verified(t, b)
			want := got
			want.Rebuilt, want.Newest = c.fault, c.want
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("verification (-want +got):\n%s", diff)
			}
			next, _ := restored(t, b, c.want)
			if next.Term() <= w.Term() {
				t.Errorf("term %d after %d", next.Term(), w.Term())
			}
			save(t, next, 6)
			logged(t, b, next, c.want, 6)
			leftovers(t, b, next)
		})
	}
}

// logged wants every step up to the given one once in the log, and then the others.
func logged(t *testing.T, b blob.Bucket, w *Writer, upTo int64, then ...int64) {
	t.Helper()
	var want strings.Builder
	for step := int64(1); step <= upTo; step++ {
		fmt.Fprintf(&want, "{\"step\":%d}\n", step)
	}
	for _, step := range then {
		fmt.Fprintf(&want, "{\"step\":%d}\n", step)
	}
	log, err := ReadMetrics(t.Context(), b, *w.parent)
	repeated := strings.ReplaceAll(string(log), "{\"step\":1}\n{\"step\":1}\n", "{\"step\":1}\n")
	for strings.Contains(repeated, "{\"step\":1}\n{\"step\":1}\n") { // of attempts that save their first step again
		repeated = strings.ReplaceAll(repeated, "{\"step\":1}\n{\"step\":1}\n", "{\"step\":1}\n")
	}
	if err != nil || repeated != want.String() {
		t.Errorf("log %q, want %q, %v", log, want.String(), err)
	}
}

// A dead attempt's checkpoint is not taken for a newer one of the owner, nor is what was forgotten.
func TestManifestsThatProveNothing(t *testing.T) {
	t.Run("of a fenced holder", func(t *testing.T) {
		b := mem.New(nil)
		zombie := acquire(t, b)
		save(t, zombie, 1)
		zombie.b = &stopped{Bucket: b, at: writes - 1, meanwhile: func() { restored(t, b, 1) }}
		if _, err := zombie.Save(t.Context(), snap(8)); !errors.Is(err, ErrFenced) {
			t.Fatal(err)
		}
		w, _ := restored(t, b, 1)
		save(t, w, 2)
		restored(t, b, 2)
	})
	t.Run("forgotten", func(t *testing.T) {
		b := mem.New(nil)
		save(t, acquire(t, b), 1, 2)
		err := Forget(t.Context(), &undeletable{Bucket: b, n: 1 << 30}, Owner{}, nil, quiet)
		if err == nil {
			t.Fatal("everything was deleted")
		}
		if m, _, err := Newest(t.Context(), b); m != nil || err != nil {
			t.Errorf("%+v %v", m, err)
		}
	})
	t.Run("damaged, with one of a dead attempt beside it", func(t *testing.T) {
		b := mem.New(nil)
		dead := acquire(t, b)
		save(t, dead, 1)
		dead.b = &stopped{Bucket: b, at: writes - 1, meanwhile: func() { restored(t, b, 1) }}
		if _, err := dead.Save(t.Context(), snap(8)); !errors.Is(err, ErrFenced) {
			t.Fatal(err)
		}
		w, _ := restored(t, b, 1)
		w.b = &faulty{Bucket: b, at: writes}
		if _, err := w.Save(t.Context(), snap(2)); err == nil {
			t.Fatal("no error")
		}
		b.Tamper("ckpt/"+w.failed[0].id+"/"+manifestName, func([]byte) []byte { return []byte("{") })
		restored(t, b, 1)
	})
}

// slow lets other goroutines run between the operations of one process, and can be killed.
type slow struct {
	blob.Bucket
	mu   sync.Mutex
	rng  *rand.Rand
	left int // operations until it is killed; below 0: never
}

func (s *slow) step() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left == 0 {
		return errInjected
	}
	s.left--
	for range s.rng.IntN(20) {
		runtime.Gosched()
	}
	return nil
}

func (s *slow) Put(ctx context.Context, key string, body io.ReaderAt, size, gen int64) (blob.Attr, error) {
	if err := s.step(); err != nil {
		return blob.Attr{}, err
	}
	return s.Bucket.Put(ctx, key, body, size, gen)
}

func (s *slow) Delete(ctx context.Context, key string, gen int64) error {
	if err := s.step(); err != nil {
		return err
	}
	return s.Bucket.Delete(ctx, key, gen)
}

// Attempts that die anywhere, that are overtaken while they save and clean up, and readers beside
// them: what a Save has returned as committed is never lost, no fenced writer commits, every
// restored state is whole, its log has every step once, and no reader finds damage. Whenever all
// attempts are over, an older HEAD.json of the last term is put back.
func TestRacesForARun(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, 7))
			b := mem.New(nil)
			var floor int64 // the last step that was certainly committed
			for range 5 {
				floor = raceOnce(t, b, rng, floor)
				w := acquire(t, b, WithGrace(-1))
				c, err := w.Restore(t.Context())
				lost := c == nil && floor > 0
				if err != nil || lost {
					t.Fatalf("restored %+v after step %d, %v", c, floor, err)
				}
				if c != nil {
					if c.Step < floor || c.State.SHA256() != state(c.Step).SHA256() {
						t.Fatalf("restored step %d, committed %d", c.Step, floor)
					}
					floor = c.Step
				}
				var heads [][]byte
				for range 3 {
					floor++
					save(t, w, floor)
					heads = append(heads, headOf(t, b))
				}
				logged(t, b, w, floor)
				put(t, b, headKey, heads[rng.IntN(len(heads))])
			}
			w, _ := restored(t, b, floor)
			leftovers(t, b, w)
		})
	}
}

// raceOnce runs attempts and readers beside each other until all are over; the result is the last step that was committed.
func raceOnce(t *testing.T, b blob.Bucket, rng *rand.Rand, floor int64) int64 {
	var mu sync.Mutex
	var attempts, readers sync.WaitGroup
	done := make(chan struct{})
	for range 3 {
		s := &slow{Bucket: b, rng: rand.New(rand.NewPCG(rng.Uint64(), 1)), left: rng.IntN(60)}
		delay := time.Duration(rng.IntN(3000)) * time.Microsecond
		attempts.Go(func() {
			time.Sleep(delay)
			w, err := Acquire(t.Context(), s, Owner{}, quiet, WithKeep(2), WithGrace(-1))
			if err != nil {
				return
			}
			c, err := w.Restore(t.Context())
			if err != nil {
				return
			}
			var step int64
			if c != nil {
				step = c.Step
			}
			for range 6 {
				step++
				if _, err := w.Save(t.Context(), snap(step)); errors.Is(err, ErrFenced) {
					return
				} else if err != nil {
					continue // the next save is tried, as one is after an outage
				}
				mu.Lock()
				floor = max(floor, step)
				mu.Unlock()
				_, _ = w.Clean(t.Context())
			}
		})
	}
	readers.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			c, err := Load(t.Context(), b, func(h Head) (Entry, error) {
				if len(h.Entries) == 0 {
					return Entry{}, errInjected
				}
				return h.Entries[len(h.Entries)-1], nil
			})
			if err == nil && c.State.SHA256() != state(c.Step).SHA256() {
				t.Errorf("a reader gets another state at step %d", c.Step)
			}
			if errors.Is(err, ErrDamaged) {
				t.Errorf("a reader: %v", err)
			}
		}
	})
	attempts.Wait()
	close(done)
	readers.Wait()
	return floor
}
