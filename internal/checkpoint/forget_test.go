package checkpoint

import (
	"context"
	"errors"
	"iter"
	"testing"

	"github.com/google/go-cmp/cmp"

	"trmsweep/internal/blob"
	"trmsweep/internal/blob/mem"
)

func TestForget(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(*mem.Bucket)
	}{
		{"a whole run", func(*mem.Bucket) {}},
		{"without HEAD", func(b *mem.Bucket) { _ = b.Delete(t.Context(), headKey, blob.Any) }},
		{"nothing but damage", func(b *mem.Bucket) {
			for a := range b.List(t.Context(), "") {
				b.Tamper(a.Key, func([]byte) []byte { return []byte("?") })
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := mem.New(nil)
			old := acquire(t, b)
			save(t, old, 1, 2, 3)
			c.damage(b)
			if err := Forget(t.Context(), b, Owner{Host: "user"}, nil, quiet); err != nil {
				t.Fatal(err)
			}
			for a := range b.List(t.Context(), "") {
				if a.Key != headKey {
					t.Errorf("%s is still there", a.Key)
				}
			}
			if _, err := old.Save(t.Context(), snap(4)); !errors.Is(err, ErrFenced) {
				t.Errorf("the old owner still commits: %v", err)
			}
			w := acquire(t, b)
			if ck, err := w.Restore(t.Context()); ck != nil || err != nil {
				t.Fatalf("restored %+v, %v", ck, err)
			}
			save(t, w, 1)
			got := verified(t, b)
			want := got
			want.OK, want.Newest, want.Metrics = true, 1, 1
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("verification (-want +got):\n%s", diff)
			}
		})
	}
}

// nosy is a bucket in which something happens before a call, named by method and key.
type nosy struct {
	blob.Bucket
	before map[string]func()
}

func (n *nosy) call(method, key string) {
	call := method + " " + key
	if f := n.before[call]; f != nil {
		delete(n.before, call)
		f()
	}
}

func (n *nosy) List(ctx context.Context, prefix string) iter.Seq2[blob.Attr, error] {
	n.call("list", prefix)
	return n.Bucket.List(ctx, prefix)
}

func (n *nosy) Stat(ctx context.Context, key string) (blob.Attr, error) {
	n.call("stat", key)
	return n.Bucket.Stat(ctx, key)
}

func (n *nosy) Delete(ctx context.Context, key string, generation int64) error {
	n.call("delete", key)
	return n.Bucket.Delete(ctx, key, generation)
}

// An attempt that goes on with forgetting after another has taken the run deletes nothing of the other's.
func TestForgetTooLate(t *testing.T) {
	for _, c := range []struct {
		when    string
		damaged bool // there is no HEAD that could be read or rebuilt
		fenced  bool
	}{
		{"list ckpt/", false, false},
		{"list metrics/", false, false},
		{"stat result.json", false, true},
		{"delete result.json", false, true},
		{"stat HEAD.json", true, true},
	} {
		t.Run(c.when, func(t *testing.T) {
			b := mem.New(nil)
			save(t, acquire(t, b), 1, 2, 3)
			result(t, b)
			if c.damaged {
				for a := range b.List(t.Context(), "") {
					b.Tamper(a.Key, func([]byte) []byte { return []byte("?") })
				}
			}
			late := &nosy{Bucket: b, before: map[string]func(){}}
			first, second := Owner{WorkflowID: "w", RunID: "r", Attempt: 1}, Owner{WorkflowID: "w", RunID: "r", Attempt: 2}
			var newer *Writer
			comes := func() {
				if c.damaged {
					if err := Forget(t.Context(), b, second, nil, quiet); err != nil {
						t.Fatal(err)
					}
				}
				var err error
				if newer, err = Acquire(t.Context(), b, second, quiet); err != nil {
					t.Fatal(err)
				}
				save(t, newer, 1, 2)
				result(t, b)
			}
			late.before[c.when] = comes
			// not yet where it tries to take the run, but where it has taken it, or found that there is nothing to take
			if c.damaged || c.when == "list ckpt/" {
				late.before[c.when] = func() { late.before[c.when] = comes }
			}
			err := Forget(t.Context(), late, first, []string{"result.json"}, quiet)
			if want := fencedIf(c.fenced); !errors.Is(err, want) {
				t.Errorf("error %v, want %v", err, want)
			}
			if _, err := b.Stat(t.Context(), "result.json"); err != nil {
				t.Errorf("the other's result: %v", err)
			}
			if _, err := newer.Save(t.Context(), snap(3)); err != nil {
				t.Errorf("the other cannot save: %v", err)
			}
			got := verified(t, b)
			want := got
			want.OK, want.Newest, want.Metrics = true, 3, 3
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("verification (-want +got):\n%s", diff)
			}
		})
	}
}

func result(t *testing.T, b blob.Bucket) {
	t.Helper()
	if _, err := blob.PutBytes(t.Context(), b, "result.json", []byte("{}"), blob.Any); err != nil {
		t.Fatal(err)
	}
}

// An earlier attempt of the same workflow, given up and still alive, leaves the run alone.
func TestForgetYieldsToLaterAttempts(t *testing.T) {
	for _, c := range []struct {
		name  string
		owner Owner
		yield bool
	}{
		{"an earlier attempt", Owner{WorkflowID: "w", RunID: "r", Attempt: 1}, true},
		{"the same attempt", Owner{WorkflowID: "w", RunID: "r", Attempt: 2}, false},
		{"a later attempt", Owner{WorkflowID: "w", RunID: "r", Attempt: 3}, false},
		{"another execution of the workflow", Owner{WorkflowID: "w", RunID: "s", Attempt: 1}, false},
		{"another workflow", Owner{WorkflowID: "v", RunID: "r", Attempt: 1}, false},
		{"no workflow", Owner{}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := mem.New(nil)
			w, err := Acquire(t.Context(), b, Owner{WorkflowID: "w", RunID: "r", Attempt: 2}, quiet)
			if err != nil {
				t.Fatal(err)
			}
			save(t, w, 1)
			err = Forget(t.Context(), b, c.owner, nil, quiet)
			if want := fencedIf(c.yield); !errors.Is(err, want) {
				t.Errorf("error %v, want %v", err, want)
			}
			if _, err := w.Save(t.Context(), snap(2)); errors.Is(err, ErrFenced) == c.yield {
				t.Errorf("the owner's next commit: %v", err)
			}
		})
	}
}

// fencedIf is the error of an attempt that another one has fenced, nil if none has.
func fencedIf(fenced bool) error {
	if fenced {
		return ErrFenced
	}
	return nil
}
