package patient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"trmsweep/internal/blob"
	"trmsweep/internal/blob/blobtest"
	"trmsweep/internal/blob/mem"
)

// flaky fails the next operations; with acts they happen and only their answer is lost.
type flaky struct {
	blob.Bucket
	fail  int
	with  error
	acts  bool
	calls int
	again int   // operations that were said to have an answer after all
	cut   int64 // bytes after which a body breaks off, while fail > 0
}

func (f *flaky) broken() bool {
	f.calls++
	if f.fail > 0 {
		f.fail--
		return true
	}
	return false
}

func (f *flaky) Put(ctx context.Context, key string, body io.ReaderAt, size, ifGen int64) (blob.Attr, error) {
	if f.broken() {
		if f.acts {
			if _, err := f.Bucket.Put(ctx, key, body, size, ifGen); err != nil {
				return blob.Attr{}, err
			}
		}
		return blob.Attr{}, f.with
	}
	return f.Bucket.Put(ctx, key, body, size, ifGen)
}

func (f *flaky) Get(ctx context.Context, key string, generation int64) (io.ReadCloser, blob.Attr, error) {
	if f.cut > 0 && f.broken() {
		r, a, err := f.Bucket.Get(ctx, key, generation)
		if err != nil {
			return nil, a, err
		}
		return struct {
			io.Reader
			io.Closer
		}{io.MultiReader(io.LimitReader(r, f.cut), failing{f.with}), r}, a, nil
	}
	if f.cut == 0 && f.broken() {
		return nil, blob.Attr{}, f.with
	}
	return f.Bucket.Get(ctx, key, generation)
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func (f *flaky) Stat(ctx context.Context, key string) (blob.Attr, error) {
	if f.broken() {
		return blob.Attr{}, f.with
	}
	return f.Bucket.Stat(ctx, key)
}

func (f *flaky) List(ctx context.Context, prefix string) iter.Seq2[blob.Attr, error] {
	return func(yield func(blob.Attr, error) bool) {
		n := 0
		broken := f.broken()
		for a, err := range f.Bucket.List(ctx, prefix) {
			if broken && n == 2 {
				yield(blob.Attr{}, f.with)
				return
			}
			if !yield(a, err) {
				return
			}
			n++
		}
	}
}

func (f *flaky) Delete(ctx context.Context, key string, generation int64) error {
	if f.broken() {
		if f.acts {
			if err := f.Bucket.Delete(ctx, key, generation); err != nil {
				return err
			}
		}
		return f.with
	}
	return f.Bucket.Delete(ctx, key, generation)
}

var errAway = fmt.Errorf("away: %w", blob.ErrTransient)

// timed is a patient bucket whose clock moves only by its own pauses.
func timed(f *flaky, patience time.Duration, notes *[]time.Duration) blob.Bucket {
	b := New(f, patience, func(op, key string, err error, waited time.Duration) {
		if op == "" || key == "" {
			panic("a note without what it is about")
		}
		if err == nil {
			f.again++
			return
		}
		*notes = append(*notes, waited)
	}).(*bucket)
	now := time.Unix(0, 0)
	b.now = func() time.Time { return now }
	b.sleep = func(ctx context.Context, d time.Duration) error {
		now = now.Add(d)
		return context.Cause(ctx)
	}
	return b
}

func TestContract(t *testing.T) {
	blobtest.Run(t, func(*testing.T) blob.Bucket { return New(mem.New(nil), time.Minute, nil) })
}

// operations are all of Bucket, on object k which exists (and e/..., for List).
var operations = map[string]func(ctx context.Context, b blob.Bucket) error{
	"put": func(ctx context.Context, b blob.Bucket) error {
		_, err := blob.PutBytes(ctx, b, "n", []byte("new"), blob.Absent)
		return err
	},
	"get": func(ctx context.Context, b blob.Bucket) error {
		data, _, err := blob.ReadAll(ctx, b, "k", 0)
		if err == nil && string(data) != "value" {
			return fmt.Errorf("read %q", data)
		}
		return err
	},
	"stat": func(ctx context.Context, b blob.Bucket) error { _, err := b.Stat(ctx, "k"); return err },
	"list": func(ctx context.Context, b blob.Bucket) error {
		var keys []string
		for a, err := range b.List(ctx, "e/") {
			if err != nil {
				return err
			}
			keys = append(keys, a.Key)
		}
		if got := strings.Join(keys, " "); got != "e/1 e/2 e/3 e/4" {
			return fmt.Errorf("listed %s", got)
		}
		return nil
	},
	"delete": func(ctx context.Context, b blob.Bucket) error { return b.Delete(ctx, "k", blob.Any) },
}

func filled(t *testing.T) *mem.Bucket {
	t.Helper()
	b := mem.New(nil)
	for _, key := range []string{"k", "e/1", "e/2", "e/3", "e/4"} {
		if _, err := blob.PutBytes(t.Context(), b, key, []byte("value"), blob.Any); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func TestEveryOperation(t *testing.T) {
	for name, do := range operations {
		t.Run(name, func(t *testing.T) {
			var notes []time.Duration
			f := &flaky{Bucket: filled(t), fail: 5, with: errAway}
			if err := do(t.Context(), timed(f, time.Minute, &notes)); err != nil {
				t.Errorf("five failures: %v", err)
			}
			type counts struct{ Calls, Again, Notes int }
			if diff := cmp.Diff(counts{6, 1, 5}, counts{f.calls, f.again, len(notes)}); diff != "" {
				t.Fatalf("five failures (-want +got):\n%s", diff)
			}
			if notes[0] != 0 || notes[4] <= notes[1] {
				t.Errorf("five failures: notes %v, want 0 first and a longer time at the end", notes)
			}

			notes = nil
			f = &flaky{Bucket: filled(t), fail: 1 << 30, with: errAway}
			err := do(t.Context(), timed(f, time.Minute, &notes))
			if !errors.Is(err, blob.ErrTransient) || !strings.Contains(err.Error(), "gave up after 1m0s") || notes[len(notes)-1] != time.Minute {
				t.Errorf("no end: %v, notes %v", err, notes)
			}
			if f.calls > 30 || f.again != 0 {
				t.Errorf("%d tries in a minute, %d answers", f.calls, f.again)
			}

			f = &flaky{Bucket: filled(t), fail: 1, with: errors.New("permission denied")}
			if err := do(t.Context(), timed(f, time.Minute, &notes)); err != f.with || f.calls != 1 {
				t.Errorf("not transient: %v after %d calls", err, f.calls)
			}

			f = &flaky{Bucket: filled(t), fail: 1 << 30, with: errAway}
			ctx, cancel := context.WithCancelCause(t.Context())
			why := errors.New("told to stop")
			b := timed(f, time.Hour, &notes).(*bucket)
			b.sleep = func(ctx context.Context, _ time.Duration) error {
				if f.calls == 3 {
					cancel(why)
				}
				return context.Cause(ctx)
			}
			if err := do(ctx, b); f.calls != 3 || !errors.Is(err, blob.ErrTransient) || !errors.Is(err, why) {
				t.Errorf("cancelled: %v after %d calls", err, f.calls)
			}
		})
	}
}

// A write whose answer was lost is not hidden: the writer must look. A delete is done either way.
func TestLostAnswers(t *testing.T) {
	var notes []time.Duration
	f := &flaky{Bucket: filled(t), fail: 1, with: errAway, acts: true}
	b := timed(f, time.Minute, &notes)
	if err := operations["put"](t.Context(), b); !errors.Is(err, blob.ErrPrecondition) || f.again != 1 {
		t.Errorf("put: %v, %d answers", err, f.again)
	}
	f.fail = 1
	if err := operations["delete"](t.Context(), b); err != nil {
		t.Errorf("delete: %v", err)
	}
	if err := operations["delete"](t.Context(), b); !errors.Is(err, blob.ErrNotExist) {
		t.Errorf("a delete of nothing: %v", err)
	}
}

func TestBodiesThatBreakOff(t *testing.T) {
	want := bytes.Repeat([]byte("0123456789"), 1000)
	put := func(b blob.Bucket, data []byte) {
		if _, err := blob.PutBytes(t.Context(), b, "k", data, blob.Any); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("go on where they stopped", func(t *testing.T) {
		var notes []time.Duration
		f := &flaky{Bucket: mem.New(nil), with: errAway, cut: 777}
		put(f.Bucket, want)
		f.fail = 4
		got, _, err := blob.ReadAll(t.Context(), timed(f, time.Minute, &notes), "k", 0)
		if err != nil || !bytes.Equal(got, want) || f.calls < 2 || len(notes) == 0 || f.again != 1 {
			t.Errorf("%d bytes, %v, %d calls, notes %v, %d answers", len(got), err, f.calls, notes, f.again)
		}
	})
	t.Run("never mix two generations", func(t *testing.T) {
		var notes []time.Duration
		f := &flaky{Bucket: mem.New(nil), with: errAway, cut: 777, fail: 1}
		put(f.Bucket, want)
		r, _, err := timed(f, time.Minute, &notes).Get(t.Context(), "k", 0)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if _, err := io.ReadFull(r, make([]byte, 700)); err != nil {
			t.Fatal(err)
		}
		put(f.Bucket, bytes.Repeat([]byte("x"), 20000))
		if rest, err := io.ReadAll(r); !errors.Is(err, blob.ErrNotExist) {
			t.Errorf("%d more bytes, %v", len(rest), err)
		}
	})
	t.Run("end with patience", func(t *testing.T) {
		var notes []time.Duration
		f := &flaky{Bucket: mem.New(nil), with: errAway, cut: 777}
		put(f.Bucket, want)
		f.fail = 1 << 30
		if _, _, err := blob.ReadAll(t.Context(), timed(f, time.Minute, &notes), "k", 0); !errors.Is(err, blob.ErrTransient) {
			t.Errorf("%v", err)
		}
	})
}
