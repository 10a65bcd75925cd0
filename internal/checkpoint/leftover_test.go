package checkpoint

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"trmsweep/internal/blob"
	"trmsweep/internal/blob/mem"
)

// leftovers runs CleanAll and wants nothing left that HEAD does not list.
func leftovers(t *testing.T, b blob.Bucket, w *Writer) {
	t.Helper()
	if _, err := w.CleanAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := verified(t, b)
	want := got
	want.OK, want.Orphans = true, ""
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("verification (-want +got):\n%s", diff)
	}
}

// A commit that drops an old checkpoint is known to have happened only at the next
// save: what it has dropped is deleted all the same.
func TestLostAnswerStillDropsOldCheckpoints(t *testing.T) {
	b := mem.New(nil)
	w := acquire(t, b, WithKeep(1))
	save(t, w, 1)
	w.b = &faulty{Bucket: b, at: writes, lost: true}
	if _, err := w.Save(t.Context(), snap(2)); !errors.Is(err, blob.ErrTransient) {
		t.Fatal(err)
	}
	w.b = b
	save(t, w, 3)
	leftovers(t, b, w)
}

// undeletable refuses the next deletions.
type undeletable struct {
	blob.Bucket
	n int
}

func (u *undeletable) Delete(ctx context.Context, key string, generation int64) error {
	if u.n--; u.n >= 0 {
		return errInjected
	}
	return u.Bucket.Delete(ctx, key, generation)
}

// Deleting an old checkpoint of this very writer fails, in the save and once more
// when the run is complete and nobody comes after.
func TestOldCheckpointsAreDeletedInTheEnd(t *testing.T) {
	b := mem.New(nil)
	w := acquire(t, b, WithKeep(1))
	save(t, w, 1)
	w.b = &undeletable{Bucket: b, n: 2}
	save(t, w, 2)
	leftovers(t, b, w)
}

// replaced lets the first reader of HEAD find its generation gone, as a body does
// that broke off and is asked for again after HEAD was swapped.
type replaced struct {
	blob.Bucket
	n int
}

func (r *replaced) Get(ctx context.Context, key string, generation int64) (io.ReadCloser, blob.Attr, error) {
	in, attr, err := r.Bucket.Get(ctx, key, generation)
	if r.n--; err != nil || r.n < 0 {
		return in, attr, err
	}
	return struct {
		io.Reader
		io.Closer
	}{gone{}, in}, attr, nil
}

type gone struct{}

func (gone) Read([]byte) (int, error) { return 0, blob.ErrNotExist }

// The owner reads HEAD while its own save replaces it: it is not fenced.
func TestHeadReplacedWhileItIsReadIsNoFence(t *testing.T) {
	b := mem.New(nil)
	w := acquire(t, b)
	save(t, w, 1)
	w.b = &replaced{Bucket: b, n: 1}
	if err := w.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.b = b
	if err := b.Delete(t.Context(), headKey, blob.Any); err != nil {
		t.Fatal(err)
	}
	if err := w.Check(t.Context()); !errors.Is(err, ErrFenced) {
		t.Fatalf("HEAD is deleted: %v", err)
	}
}
