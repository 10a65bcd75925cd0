package checkpoint

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"trmsweep/internal/blob"
	"trmsweep/internal/blob/mem"
)

// gang commits a step of a world of two, each rank with its own state.
func gang(t *testing.T, w *Writer, step int64) {
	t.Helper()
	ticket := w.Begin(step)
	s := snap(step)
	s.Meta.WorldSize, s.Ticket = 2, ticket
	done := make(chan error)
	go func() { done <- SaveRank(t.Context(), w.b, ticket, 1, 2, state(10*step)) }()
	if _, err := w.Save(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestTwoRanks(t *testing.T) {
	b := mem.New(nil)
	gang(t, acquire(t, b), 4)
	_, c := restored(t, b, 4)
	if got, err := LoadRank(t.Context(), b, c.Manifest, 1); err != nil || got.SHA256() != state(40).SHA256() {
		t.Fatal(err)
	}
}

// A rank that dies before its receipt leaves the commit before live, and nothing after the run's end.
func TestHalfAGang(t *testing.T) {
	for _, stored := range []bool{false, true} {
		b := mem.New(nil)
		w := acquire(t, b)
		gang(t, w, 1)
		ticket := w.Begin(2)
		if stored { // its file, and no receipt
			if _, err := putState(t.Context(), b, ticket, 1, 2, state(20)); err != nil {
				t.Fatal(err)
			}
		}
		s := snap(2)
		s.Meta.WorldSize, s.Ticket = 2, ticket
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if _, err := w.Save(ctx, s); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("file stored %v: %v", stored, err)
		}
		cancel()
		w, _ = restored(t, b, 1)
		gang(t, w, 3)
		if _, err := w.CleanAll(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := verified(t, b)
		want := got
		want.OK, want.Newest, want.Orphans = true, 3, ""
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("file stored %v (-want +got):\n%s", stored, diff)
		}
	}
}

// The file of another rank counts as much as rank 0's.
func TestDamageToAnotherRank(t *testing.T) {
	for name, damage := range map[string]func(*mem.Bucket, string){
		"flipped": func(b *mem.Bucket, key string) { b.Tamper(key, func(d []byte) []byte { d[len(d)-1] ^= 1; return d }) },
		"missing": func(b *mem.Bucket, key string) { _ = b.Delete(t.Context(), key, blob.Any) },
	} {
		t.Run(name, func(t *testing.T) {
			b := mem.New(nil)
			w := acquire(t, b)
			gang(t, w, 1)
			gang(t, w, 2)
			newest := w.Head().Entries[1]
			m, err := ReadManifest(t.Context(), b, newest)
			if err != nil {
				t.Fatal(err)
			}
			damage(b, newest.dir()+stateName(1, 2))
			r, err := Verify(t.Context(), b)
			if err != nil {
				t.Fatal(err)
			}
			if r.OK || len(r.Checkpoints[1].Faults) != 1 {
				t.Errorf("verify: OK %v, faults of the newest %q; want one", r.OK, r.Checkpoints[1].Faults)
			}
			if _, err := LoadRank(t.Context(), b, m, 1); err == nil {
				t.Error("rank 1 restored it")
			}
			if name == "missing" { // rank 0 only looks whether the others' files are there
				restored(t, b, 1)
			}
		})
	}
}
