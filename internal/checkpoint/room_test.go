package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"trmsweep/internal/blob"
	"trmsweep/internal/blob/mem"
	"trmsweep/internal/blob/patient"
)

// quota is a bucket with room for so many bytes.
type quota struct {
	blob.Bucket
	bytes int64
}

func (q *quota) Put(ctx context.Context, key string, body io.ReaderAt, size, gen int64) (blob.Attr, error) {
	used := size
	for a, err := range q.List(ctx, "") {
		if err != nil {
			return blob.Attr{}, err
		}
		used += a.Size // the old object too: it goes when the new one is whole
	}
	if used > q.bytes {
		return blob.Attr{}, fmt.Errorf("put %s: no space left: %w", key, blob.ErrFull)
	}
	return q.Bucket.Put(ctx, key, body, size, gen)
}

func used(t *testing.T, b blob.Bucket) (n int64) {
	t.Helper()
	for a, err := range b.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		n += a.Size
	}
	return n
}

// steps are those that HEAD lists.
func steps(w *Writer) string {
	var out []int64
	for _, e := range w.Head().Entries {
		out = append(out, e.Step)
	}
	return fmt.Sprint(out)
}

// A store that is full makes room by what need not be kept, and by nothing else; nobody waits for it.
func TestFullStoreMakesRoom(t *testing.T) {
	for _, c := range []struct {
		name     string
		keep     int    // when it is full
		room     int64  // bytes that are free
		want     string // steps kept after the save
		full     bool   // the save fails
		mileage  int64  // step that is a milestone
		bestStep int64
	}{
		{"there is room", 5, 1 << 20, "[1 2 3 4 5]", false, 0, 0},
		{"the oldest goes first", 4, 0, "[2 3 4 5]", false, 0, 0},
		{"keep was lowered", 1, 0, "[5]", false, 0, 0},
		{"the best stays", 1, 0, "[2 5]", false, 0, 2},
		{"milestones stay", 1, 0, "[1 5]", false, 1, 0},
		{"all must be kept", 9, 0, "[1 2 3 4]", true, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := mem.New(nil)
			with := func(step int64) Snapshot {
				s := snap(step)
				s.Milestone, s.Meta.BestStep = step == c.mileage, min(step, c.bestStep)
				return s
			}
			w := acquire(t, b, WithKeep(4))
			for step := int64(1); step <= 4; step++ {
				if _, err := w.Save(t.Context(), with(step)); err != nil {
					t.Fatal(err)
				}
			}
			const head = 4 << 10 // for HEAD.json while it is replaced
			waits := 0
			small := patient.New(&quota{b, used(t, b) + c.room + head}, time.Nanosecond, func(string, string, error, time.Duration) { waits++ })
			w = acquire(t, small, WithKeep(c.keep))
			if _, err := w.Restore(t.Context()); err != nil {
				t.Fatal(err)
			}
			var want error
			if c.full {
				want = blob.ErrFull
			}
			if _, err := w.Save(t.Context(), with(5)); !errors.Is(err, want) {
				t.Fatalf("error %v, want %v", err, want)
			}
			if got := steps(w); got != c.want || (waits > 0) != c.full {
				t.Errorf("kept %s, want %s; waited %d times", got, c.want, waits)
			}
			report := verified(t, b)
			whole := report
			whole.OK, whole.Orphans = true, ""
			if diff := cmp.Diff(whole, report); diff != "" {
				t.Errorf("verification (-want +got):\n%s", diff)
			}
			if !c.full {
				_, ck := restored(t, b, 5)
				log, err := ReadMetrics(t.Context(), b, ck.Manifest)
				if err != nil || string(log) != "{\"step\":1}\n{\"step\":2}\n{\"step\":3}\n{\"step\":4}\n{\"step\":5}\n" {
					t.Errorf("%q %v", log, err)
				}
			}
		})
	}
}

// nthFull is a bucket that is full at its n-th write from now on, once.
type nthFull struct {
	blob.Bucket
	n int
}

func (f *nthFull) Put(ctx context.Context, key string, body io.ReaderAt, size, gen int64) (blob.Attr, error) {
	if f.n--; f.n == 0 {
		return blob.Attr{}, blob.ErrFull
	}
	return f.Bucket.Put(ctx, key, body, size, gen)
}

// Whichever write of a save finds the store full, the checkpoint is the same as without.
func TestFullAtEveryWrite(t *testing.T) {
	for at := 1; at <= writes; at++ {
		for _, keep := range []int{1, 3} {
			b := mem.New(nil)
			w := acquire(t, b, WithKeep(3))
			save(t, w, 1, 2, 3)
			w = acquire(t, b, WithKeep(keep))
			if _, err := w.Restore(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.b = &nthFull{Bucket: b, n: at}
			save(t, w, 4)
			w.b = b
			save(t, w, 5)
			_, ck := restored(t, b, 5)
			log, err := ReadMetrics(t.Context(), b, ck.Manifest)
			if err != nil || string(log) != "{\"step\":1}\n{\"step\":2}\n{\"step\":3}\n{\"step\":4}\n{\"step\":5}\n" {
				t.Fatalf("write %d: %q %v", at, log, err)
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
