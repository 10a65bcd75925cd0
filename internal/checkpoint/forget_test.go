package checkpoint

import (
	"errors"
	"testing"

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
			if err := Forget(t.Context(), b, Owner{Host: "user"}, quiet); err != nil {
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
			if r, err := Verify(t.Context(), b); err != nil || !r.OK || r.Newest.Step != 1 || len(r.Newest.Metrics) != 1 {
				t.Errorf("%+v %v", r, err)
			}
		})
	}
}
