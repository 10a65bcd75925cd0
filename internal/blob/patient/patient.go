// Package patient is a bucket that retries: operations that fail with blob.ErrTransient are
// tried again, with growing pauses, until patience is used up. It never retries after
// another error and never hides a lost write: a repeated Put whose first attempt did reach
// the storage fails with blob.ErrPrecondition, as the contract says.
package patient

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"math/rand/v2"
	"time"

	"trmsweep/internal/blob"
	"trmsweep/internal/wait"
)

// The first and the longest pause between attempts. Each pause is drawn between half of it and all of it.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = 5 * time.Second
)

type bucket struct {
	b        blob.Bucket
	patience time.Duration
	notify   func(op, key string, err error, waited time.Duration)
	now      func() time.Time
	sleep    func(context.Context, time.Duration) error
}

// New wraps b. Patience is counted for each operation from its first failure; when it is
// used up, the operation returns its last error. An operation that is marked with
// blob.FailWhenFull does not wait for free space. notify may be nil. It is called in the
// goroutine of the operation after every failed attempt, with the time since the first
// failure, and with a nil error when the storage has answered after failures.
func New(b blob.Bucket, patience time.Duration, notify func(op, key string, err error, waited time.Duration)) blob.Bucket {
	if notify == nil {
		notify = func(string, string, error, time.Duration) {}
	}
	return &bucket{b: b, patience: patience, notify: notify, now: time.Now, sleep: wait.Sleep}
}

// trial is the retry state of one operation. github.com/cenkalti/backoff does not fit: here
// patience counts from the first failure, an interrupted read continues within the same
// trial, and the first answer after failures is reported.
type trial struct {
	b       *bucket
	op, key string
	failing bool
	since   time.Time
	pause   time.Duration
}

func (b *bucket) trial(op, key string) *trial {
	return &trial{b: b, op: op, key: key, pause: firstPause}
}

// retry decides whether to retry after err. If so, it pauses and returns true; if not, it returns the error to return.
func (t *trial) retry(ctx context.Context, err error) (bool, error) {
	if ctx.Err() != nil {
		return false, err
	}
	if err == nil || !errors.Is(err, blob.ErrTransient) {
		t.answered()
		return false, err
	}
	if errors.Is(err, blob.ErrFull) && blob.FailsWhenFull(ctx) {
		return false, err
	}
	now := t.b.now()
	if !t.failing {
		t.failing, t.since = true, now
	}
	waited := now.Sub(t.since)
	t.b.notify(t.op, t.key, err, waited)
	if waited >= t.b.patience {
		return false, fmt.Errorf("gave up after %s: %w", waited.Round(time.Millisecond), err)
	}
	pause := min(t.pause/2+rand.N(t.pause/2+1), t.b.patience-waited)
	t.pause = min(2*t.pause, longestPause)
	if serr := t.b.sleep(ctx, pause); serr != nil {
		return false, fmt.Errorf("%w (stopped waiting: %w)", err, serr)
	}
	return true, nil
}

// answered reports that the storage answered after failures, even if the answer is an error.
func (t *trial) answered() {
	if t.failing {
		t.failing = false
		t.b.notify(t.op, t.key, nil, t.b.now().Sub(t.since))
	}
}

func (b *bucket) Put(ctx context.Context, key string, body io.ReaderAt, size, ifGen int64) (blob.Attr, error) {
	for t := b.trial("put", key); ; {
		a, err := b.b.Put(ctx, key, body, size, ifGen)
		if more, err := t.retry(ctx, err); !more {
			return a, err
		}
	}
}

func (b *bucket) Stat(ctx context.Context, key string) (blob.Attr, error) {
	for t := b.trial("stat", key); ; {
		a, err := b.b.Stat(ctx, key)
		if more, err := t.retry(ctx, err); !more {
			return a, err
		}
	}
}

func (b *bucket) Delete(ctx context.Context, key string, generation int64) error {
	for t := b.trial("delete", key); ; {
		err := b.b.Delete(ctx, key, generation)
		if t.failing && errors.Is(err, blob.ErrNotExist) {
			err = nil // an earlier attempt deleted the object and its response was lost
		}
		if more, err := t.retry(ctx, err); !more {
			return err
		}
	}
}

func (b *bucket) List(ctx context.Context, prefix string) iter.Seq2[blob.Attr, error] {
	return func(yield func(blob.Attr, error) bool) {
		t := b.trial("list", prefix)
		last, any := "", false
		for {
			var failed error
			for a, err := range b.b.List(ctx, prefix) {
				if err != nil {
					failed = err
					break
				}
				if any && a.Key <= last {
					continue
				}
				last, any = a.Key, true
				if !yield(a, nil) {
					return
				}
			}
			more, err := t.retry(ctx, failed)
			if err != nil {
				yield(blob.Attr{}, err)
			}
			if !more {
				return
			}
		}
	}
}

func (b *bucket) Get(ctx context.Context, key string, generation int64) (io.ReadCloser, blob.Attr, error) {
	for t := b.trial("get", key); ; {
		r, a, err := b.b.Get(ctx, key, generation)
		more, err := t.retry(ctx, err)
		if more {
			continue
		}
		if err != nil {
			return nil, a, err
		}
		return &reader{ctx: ctx, t: t, r: r, attr: a}, a, nil
	}
}

// reader reopens the object if reading is interrupted and skips the bytes that it has
// delivered. It checks size and checksum itself, because no single attempt reads all bytes.
type reader struct {
	ctx  context.Context
	t    *trial
	r    io.ReadCloser
	attr blob.Attr
	n    int64
	crc  uint32
}

func (r *reader) Read(p []byte) (int, error) {
	for {
		var n int
		err := error(nil)
		if r.r == nil {
			err = r.reopen()
		}
		if err == nil {
			n, err = r.r.Read(p)
		}
		r.n += int64(n)
		r.crc = crc32.Update(r.crc, blob.Castagnoli, p[:n])
		if n > 0 && errors.Is(err, blob.ErrTransient) {
			r.drop()
			return n, nil
		}
		complete := r.n == r.attr.Size && r.crc == r.attr.CRC32C
		if err == io.EOF && !complete {
			return n, fmt.Errorf("object %s: the bytes read do not match size and CRC32C: %w", r.attr.Key, blob.ErrCorrupt)
		}
		if err == io.EOF {
			r.t.answered()
		}
		if n > 0 || err == nil || err == io.EOF {
			return n, err
		}
		more, err := r.t.retry(r.ctx, err)
		if !more {
			return 0, err
		}
		r.drop()
	}
}

func (r *reader) drop() {
	if r.r != nil {
		r.r.Close()
		r.r = nil
	}
}

func (r *reader) reopen() error {
	in, _, err := r.t.b.b.Get(r.ctx, r.t.key, r.attr.Generation)
	if err != nil {
		return err
	}
	if _, err := io.CopyN(io.Discard, in, r.n); err != nil {
		in.Close()
		return err
	}
	r.r = in
	return nil
}

func (r *reader) Close() error {
	if r.r == nil {
		return nil
	}
	return r.r.Close()
}
