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

// stopped is the bucket of a process that is stopped before its n-th write and goes on after meanwhile has returned.
type stopped struct {
	blob.Bucket
	at, n     int
	meanwhile func()
}

func (f *stopped) Put(ctx context.Context, key string, body io.ReaderAt, size, gen int64) (blob.Attr, error) {
	if f.n++; f.n == f.at {
		f.meanwhile()
	}
	return f.Bucket.Put(ctx, key, body, size, gen)
}

// A writer is stopped anywhere in a save, or before it; another takes over and
// ends the run; the first wakes up, cannot commit, and takes back what it has
// written, except after its last look at the fence, which is just before the manifest.
// Stopped after the manifest, its checkpoint is whole, and the other one goes on from it.
func TestZombieLeavesNothing(t *testing.T) {
	const manifestWrite = writes - 1
	for at := range writes + 1 {
		b := mem.New(nil)
		zombie := acquire(t, b)
		save(t, zombie, 1)
		from := int64(1)
		if at == writes {
			from = 2
		}
		successor := func() {
			w, _ := restored(t, b, from)
			save(t, w, 3, 4)
			if _, err := w.CleanAll(t.Context()); err != nil {
				t.Error(err)
			}
		}
		zombie.b = &stopped{Bucket: b, at: at, meanwhile: successor}
		if at == 0 {
			successor()
		}
		if _, err := zombie.Save(t.Context(), snap(2)); !errors.Is(err, ErrFenced) {
			t.Fatalf("stopped before write %d: %v", at, err)
		}
		got := verified(t, b)
		want := got
		want.OK, want.Newest = true, 4
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("stopped before write %d (-want +got):\n%s", at, diff)
		}
		if left := got.Orphans != ""; left != (at == manifestWrite) {
			t.Fatalf("stopped before write %d: left %q", at, got.Orphans)
		}
		w, _ := restored(t, b, 4)
		if _, err := w.CleanAll(t.Context()); err != nil {
			t.Fatal(err)
		}
		if r, err := Verify(t.Context(), b); err != nil || len(r.Orphans) > 0 {
			t.Fatalf("stopped before write %d: left to the next owner %+v, %v", at, r.Orphans, err)
		}
	}
}

// A complete run keeps nothing of its dead attempts, however young.
func TestCleanAllHasNoGrace(t *testing.T) {
	b := mem.New(nil)
	dead := acquire(t, b)
	save(t, dead, 1)
	dead.b = &faulty{Bucket: b, at: writes - 1}
	if _, err := dead.Save(t.Context(), snap(2)); err == nil {
		t.Fatal("no error")
	}
	w, _ := restored(t, b, 1)
	if _, err := w.Clean(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r, err := Verify(t.Context(), b); err != nil || len(r.Orphans) == 0 {
		t.Fatalf("Clean has no grace: %v", err)
	}
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
