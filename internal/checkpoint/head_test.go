package checkpoint

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"trmsweep/internal/blob"
	"trmsweep/internal/blob/mem"
)

// headOf is HEAD.json as it is now.
func headOf(t *testing.T, b blob.Bucket) []byte {
	t.Helper()
	data, _, err := blob.ReadAll(t.Context(), b, headKey, 0)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func put(t *testing.T, b blob.Bucket, key string, data []byte) {
	t.Helper()
	if _, err := blob.PutBytes(t.Context(), b, key, data, blob.Any); err != nil {
		t.Fatal(err)
	}
}

// otherRun is the HEAD.json of another run that was acquired so often and saved the steps.
func otherRun(t *testing.T, acquired int, steps ...int64) []byte {
	b := mem.New(nil)
	for range acquired {
		save(t, acquire(t, b), steps...)
	}
	return headOf(t, b)
}

// A HEAD.json that is whole and not this run's newest is believed only as far as the
// checkpoints support it: nothing that lies there is lost, and the fence holds.
func TestWrongHead(t *testing.T) {
	for _, c := range []struct {
		name  string
		keep  int
		wrong func(t *testing.T, b *mem.Bucket, old []byte) []byte // the HEAD.json that is put there
	}{
		{"an older copy whose checkpoints are deleted", 1, func(_ *testing.T, _ *mem.Bucket, old []byte) []byte { return old }},
		{"an older copy whose checkpoints are there", 9, func(_ *testing.T, _ *mem.Bucket, old []byte) []byte { return old }},
		{"another run's", 3, func(t *testing.T, _ *mem.Bucket, _ []byte) []byte { return otherRun(t, 1, 1, 2, 3) }},
		{"another run's, taken more often", 3, func(t *testing.T, _ *mem.Bucket, _ []byte) []byte { return otherRun(t, 7, 8) }},
		{"another run's that has saved nothing", 3, func(t *testing.T, _ *mem.Bucket, _ []byte) []byte { return otherRun(t, 5) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := mem.New(nil)
			save(t, acquire(t, b, WithKeep(c.keep)), 1, 2)
			old := headOf(t, b)
			owner := acquire(t, b, WithKeep(c.keep))
			if _, err := owner.Restore(t.Context()); err != nil {
				t.Fatal(err)
			}
			save(t, owner, 3, 4)
			put(t, b, headKey, c.wrong(t, b, old))

			got := verified(t, b)
			want := got
			want.OK = false
			want.Rebuilt = true
			want.Newest = 4
			want.Orphans = ""
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("verification (-want +got):\n%s", diff)
			}
			if step := newestStep(t, b); step != 4 {
				t.Errorf("the newest checkpoint is of step %d, want 4", step)
			}
			if _, err := owner.Save(t.Context(), snap(5)); !errors.Is(err, ErrFenced) {
				t.Errorf("the owner whose HEAD was replaced commits: %v", err)
			}
			w, _ := restored(t, b, 4)
			if w.Term() <= owner.Term() {
				t.Errorf("term %d after %d", w.Term(), owner.Term())
			}
			if _, err := owner.Save(t.Context(), snap(5)); !errors.Is(err, ErrFenced) {
				t.Errorf("two owners: %v", err)
			}
			save(t, w, 5)
			got = verified(t, b)
			want = got
			want.OK, want.Newest, want.Metrics = true, 5, 5
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("afterwards (-want +got):\n%s", diff)
			}
		})
	}
}

// Many attempts that find another run's HEAD.json at once agree on one owner after the other.
func TestManyWritersOnAWrongHead(t *testing.T) {
	b := mem.New(nil)
	var last *Writer
	for range 3 {
		last = acquire(t, b)
		if _, err := last.Restore(t.Context()); err != nil {
			t.Fatal(err)
		}
		save(t, last, last.Term())
	}
	put(t, b, headKey, otherRun(t, 1, 9))
	var mu sync.Mutex
	var wg sync.WaitGroup
	owners := map[int64]*Writer{}
	for range 16 {
		wg.Go(func() {
			w, err := Acquire(t.Context(), b, Owner{}, quiet)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if owners[w.Term()] != nil || w.Term() <= last.Term() {
				t.Errorf("term %d is taken", w.Term())
			}
			owners[w.Term()] = w
		})
	}
	wg.Wait()
	committed := 0
	for _, w := range owners {
		if _, err := w.Save(t.Context(), snap(10)); err == nil {
			committed++
		} else if !errors.Is(err, ErrFenced) {
			t.Error(err)
		}
	}
	if committed != 1 {
		t.Errorf("%d owners", committed)
	}
	restored(t, b, 10)
}

// The owner itself goes on where its own older HEAD.json was put back while it trained.
func TestOlderHeadOfTheOwner(t *testing.T) {
	b := mem.New(nil)
	w := acquire(t, b, WithKeep(1))
	save(t, w, 1)
	old := headOf(t, b)
	save(t, w, 2)
	put(t, b, headKey, old)
	save(t, w, 3)
	restored(t, b, 3)
}

// What was forgotten is not found again, though deleting it has failed.
func TestForgottenStaysForgotten(t *testing.T) {
	b := mem.New(nil)
	save(t, acquire(t, b), 1, 2)
	if err := Forget(t.Context(), &undeletable{Bucket: b, n: 1 << 30}, Owner{}, nil, quiet); err == nil {
		t.Fatal("everything was deleted")
	}
	for _, step := range []int64{1, 2} {
		w := acquire(t, b)
		ck, err := w.Restore(t.Context())
		if err != nil || (ck == nil) != (step == 1) {
			t.Fatalf("restored: %v, want %v, %v", ck != nil, step > 1, err)
		}
		save(t, w, step)
	}
	got := verified(t, b)
	want := got
	want.OK, want.Newest = true, 2
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("verification (-want +got):\n%s", diff)
	}
}

// newestStep is the step of the newest checkpoint by its manifest and its entry, which must agree; 0 if there is none.
func newestStep(t *testing.T, b blob.Bucket) int64 {
	t.Helper()
	m, e, err := Newest(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	if m == nil {
		return 0
	}
	if m.Step != e.Step {
		t.Errorf("the newest manifest is of step %d, its entry of step %d", m.Step, e.Step)
	}
	return m.Step
}

// Newest falls back from a manifest that is damaged, and changes nothing.
func TestNewestLooksAtTheNextEntry(t *testing.T) {
	b := mem.New(nil)
	w := acquire(t, b)
	save(t, w, 1, 2)
	b.Tamper(w.Head().Entries[1].Manifest, func([]byte) []byte { return nil })
	before := string(headOf(t, b))
	if step := newestStep(t, b); step != 1 {
		t.Fatalf("the newest checkpoint is of step %d, want 1", step)
	}
	if string(headOf(t, b)) != before {
		t.Error("HEAD.json was changed")
	}
	save(t, w, 3)
}

// A reader follows a run that deletes the checkpoint it was about to read.
func TestLoadFollowsARunThatGoesOn(t *testing.T) {
	newest := func(h Head) (Entry, error) {
		if len(h.Entries) == 0 {
			return Entry{}, errors.New("none")
		}
		return h.Entries[len(h.Entries)-1], nil
	}
	b := mem.New(nil)
	if _, err := Load(t.Context(), b, newest); !errors.Is(err, blob.ErrNotExist) {
		t.Fatal(err)
	}
	w := acquire(t, b, WithKeep(1))
	save(t, w, 1)
	step := int64(1)
	c, err := Load(t.Context(), b, func(h Head) (Entry, error) {
		e, err := newest(h)
		if step < 4 {
			step++
			save(t, w, step)
		}
		return e, err
	})
	if err != nil || c.Step != 4 {
		t.Fatalf("%+v %v", c, err)
	}
	_, err = Load(t.Context(), b, func(h Head) (Entry, error) {
		e, err := newest(h)
		save(t, w, e.Step+1)
		return e, err
	})
	if !errors.Is(err, ErrTooFast) || errors.Is(err, ErrDamaged) || errors.Is(err, blob.ErrNotExist) {
		t.Fatalf("deleted at each try: %v", err)
	}
	for _, e := range w.Head().Entries {
		b.Tamper(e.dir()+stateName(0, 1), func(d []byte) []byte { return d[1:] })
	}
	if _, err := Load(t.Context(), b, newest); err == nil {
		t.Fatal("a damaged checkpoint was read")
	}
}

// A HEAD.json that vanishes is said to be gone, not to be another attempt's.
func TestDeletedHeadIsSaidWell(t *testing.T) {
	b := mem.New(nil)
	w := acquire(t, b)
	save(t, w, 1)
	if err := b.Delete(t.Context(), headKey, blob.Any); err != nil {
		t.Fatal(err)
	}
	_, err := w.Save(t.Context(), snap(2))
	if !errors.Is(err, ErrFenced) || !strings.Contains(err.Error(), "HEAD.json of this run was deleted") ||
		strings.Contains(err.Error(), "another attempt") {
		t.Errorf("%v", err)
	}
	restored(t, b, 1)
}
