package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"trmsweep/internal/blob"
	"trmsweep/internal/blob/mem"
)

var errInjected = fmt.Errorf("injected: %w", blob.ErrTransient)

// faulty fails the n-th write and all operations after it (a crash), or only it with the answer lost.
type faulty struct {
	blob.Bucket
	mu    sync.Mutex
	at, n int
	lost  bool // the write happens, the answer does not arrive
	once  bool // later operations work
}

func (f *faulty) hit(write bool) (fail, apply bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if write {
		f.n++
	}
	if f.n == f.at && write {
		return true, f.lost
	}
	return f.n >= f.at && !f.once, false
}

func (f *faulty) Put(ctx context.Context, key string, body io.ReaderAt, size, gen int64) (blob.Attr, error) {
	fail, apply := f.hit(true)
	if fail {
		if apply {
			f.Bucket.Put(ctx, key, body, size, gen)
		}
		return blob.Attr{}, errInjected
	}
	return f.Bucket.Put(ctx, key, body, size, gen)
}

func (f *faulty) Get(ctx context.Context, key string, gen int64) (io.ReadCloser, blob.Attr, error) {
	if fail, _ := f.hit(false); fail {
		return nil, blob.Attr{}, errInjected
	}
	return f.Bucket.Get(ctx, key, gen)
}

func (f *faulty) Stat(ctx context.Context, key string) (blob.Attr, error) {
	if fail, _ := f.hit(false); fail {
		return blob.Attr{}, errInjected
	}
	return f.Bucket.Stat(ctx, key)
}

// A save makes five writes: state, metrics, events, MANIFEST, HEAD.
const writes = 5

func TestCrashAtEveryWrite(t *testing.T) {
	for at := 1; at <= writes; at++ {
		for _, lost := range []bool{false, true} {
			b := mem.New(nil)
			w := acquire(t, b)
			save(t, w, 1)
			w.b = &faulty{Bucket: b, at: at, lost: lost}
			if _, err := w.Save(t.Context(), snap(2)); !errors.Is(err, blob.ErrTransient) {
				t.Fatalf("write %d, lost %v: %v", at, lost, err)
			}
			step := int64(1)
			lostManifest := at == writes-1 && lost
			if at == writes || lostManifest { // the manifest is there
				step = 2
			}
			w, _ = restored(t, b, step)
			save(t, w, 3)
			w.grace = -1
			if _, err := w.Clean(t.Context()); err != nil {
				t.Fatal(err)
			}
			got := verified(t, b)
			want := got
			want.OK, want.Orphans = true, ""
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("write %d (-want +got):\n%s", at, diff)
			}
		}
	}
}

// An outage ends and the same writer goes on: no log line is lost or repeated.
// At 0 nothing answers from the first look at HEAD on.
func TestSaveAgainAfterFailure(t *testing.T) {
	for at := 0; at <= writes; at++ {
		for _, lost := range []bool{false, true} {
			b := mem.New(nil)
			w := acquire(t, b)
			save(t, w, 1)
			w.b = &faulty{Bucket: b, at: at, lost: lost}
			if _, err := w.Save(t.Context(), snap(2)); err == nil {
				t.Fatal("no error")
			}
			w.b = b
			save(t, w, 3)
			log, err := ReadMetrics(t.Context(), b, *w.parent)
			if err != nil || string(log) != "{\"step\":1}\n{\"step\":2}\n{\"step\":3}\n" {
				t.Fatalf("write %d lost %v: %q %v", at, lost, log, err)
			}
			w.Clean(t.Context())
			got := verified(t, b)
			want := got
			want.OK, want.Orphans = true, ""
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("write %d lost %v (-want +got):\n%s", at, lost, diff)
			}
		}
	}
}

// slowHead keeps writes of HEAD back as a network does that delivers them after all;
// nothing else is written once one is kept.
type slowHead struct {
	blob.Bucket
	kept func() error
}

func (s *slowHead) Put(ctx context.Context, key string, body io.ReaderAt, size, gen int64) (blob.Attr, error) {
	if s.kept == nil && key != headKey {
		return s.Bucket.Put(ctx, key, body, size, gen)
	}
	if s.kept == nil {
		s.kept = func() error {
			_, err := s.Bucket.Put(ctx, key, body, size, gen)
			return err
		}
	}
	return blob.Attr{}, errInjected
}

// A commit that was given up for lost appears after a later save has failed: the
// log of the later one is not in it, and is not forgotten.
func TestLateCommitKeepsTheLogOfLaterSaves(t *testing.T) {
	b := mem.New(nil)
	w := acquire(t, b)
	save(t, w, 1)
	slow := &slowHead{Bucket: b}
	w.b = slow
	for _, step := range []int64{2, 3} {
		if _, err := w.Save(t.Context(), snap(step)); !errors.Is(err, blob.ErrTransient) {
			t.Fatalf("step %d: %v", step, err)
		}
	}
	if err := slow.kept(); err != nil {
		t.Fatal(err)
	}
	w.b = b
	save(t, w, 4)
	log, err := ReadMetrics(t.Context(), b, *w.parent)
	if err != nil || string(log) != "{\"step\":1}\n{\"step\":2}\n{\"step\":3}\n{\"step\":4}\n" {
		t.Fatalf("%q %v", log, err)
	}
}

func TestLostAnswerIsNoFailure(t *testing.T) {
	for at := 1; at <= writes; at++ {
		b := mem.New(nil)
		w := acquire(t, b)
		w.b = &faulty{Bucket: b, at: at, lost: true, once: true}
		save(t, w, 1)
		restored(t, b, 1)
	}
}

// awayHead is a store that refuses HEAD once it exists, as one that is away for longer than patience does.
type awayHead struct {
	blob.Bucket
	tries int
	away  bool
}

func (b *awayHead) Put(ctx context.Context, key string, body io.ReaderAt, size, gen int64) (blob.Attr, error) {
	if b.away && key == "HEAD.json" {
		b.tries++
		return blob.Attr{}, fmt.Errorf("put %s: %w", key, blob.ErrTransient)
	}
	return b.Bucket.Put(ctx, key, body, size, gen)
}

// The bucket under a writer is the one that waits: what it gives up is not tried again.
func TestHeadIsWaitedForOnce(t *testing.T) {
	b := &awayHead{Bucket: mem.New(nil)}
	w := acquire(t, b)
	save(t, w, 1)
	b.away = true
	if _, err := w.Save(t.Context(), snap(2)); !errors.Is(err, blob.ErrTransient) || b.tries != 1 {
		t.Errorf("%d tries, %v", b.tries, err)
	}
	b.away = false
	save(t, acquire(t, b), 2)
}
