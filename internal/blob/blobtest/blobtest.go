// Package blobtest has the tests that every implementation of blob.Bucket must pass.
package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"trmsweep/internal/blob"
)

// Run tests the buckets that open makes. Each call of open must return an empty one.
func Run(t *testing.T, open func(t *testing.T) blob.Bucket) {
	for _, c := range []struct {
		name string
		test func(*testing.T, blob.Bucket)
	}{
		{"put then get", roundTrip}, {"conditions", conditions}, {"generations never return", generations},
		{"missing", missing}, {"list", list}, {"sixteen writers", race}, {"readers see whole objects", whole},
		{"cancelled", cancelled}, {"bad keys", badKeys}, {"prefix", prefix},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, err, sentinel error) {
	t.Helper()
	if !errors.Is(err, sentinel) {
		t.Fatalf("error %v, want %v", err, sentinel)
	}
}

func roundTrip(t *testing.T, b blob.Bucket) {
	ctx := t.Context()
	for _, size := range []int{0, 1, 7, 1<<20 + 3} {
		data := bytes.Repeat([]byte{0xa5, 1, 2}, size/3+1)[:size]
		a, err := blob.PutBytes(ctx, b, "a/b", data, blob.Any)
		must(t, err)
		crc, err := blob.CRC32C(bytes.NewReader(data), int64(size))
		must(t, err)
		if a.Key != "a/b" || a.Size != int64(size) || a.CRC32C != crc || a.Generation <= 0 || a.Updated.IsZero() {
			t.Fatalf("put %d bytes: %+v", size, a)
		}
		got, g, err := blob.ReadAll(ctx, b, "a/b", a.Generation)
		must(t, err)
		s, err := b.Stat(ctx, "a/b")
		must(t, err)
		if !bytes.Equal(got, data) || g.Generation != a.Generation || s.Generation != a.Generation || s.CRC32C != crc || s.Size != a.Size {
			t.Fatalf("%d bytes: get %+v, stat %+v, put %+v", size, g, s, a)
		}
	}
}

func conditions(t *testing.T, b blob.Bucket) {
	ctx := t.Context()
	a, err := blob.PutBytes(ctx, b, "k", []byte("1"), blob.Absent)
	must(t, err)
	_, err = blob.PutBytes(ctx, b, "k", []byte("x"), blob.Absent)
	want(t, err, blob.ErrPrecondition)
	c, err := blob.PutBytes(ctx, b, "k", []byte("2"), a.Generation)
	must(t, err)
	_, err = blob.PutBytes(ctx, b, "k", []byte("x"), a.Generation)
	want(t, err, blob.ErrPrecondition)
	_, err = blob.PutBytes(ctx, b, "other", []byte("x"), a.Generation)
	want(t, err, blob.ErrPrecondition)
	want(t, b.Delete(ctx, "k", a.Generation), blob.ErrPrecondition)
	data, _, err := blob.ReadAll(ctx, b, "k", 0)
	must(t, err)
	if string(data) != "2" {
		t.Fatalf("content %q", data)
	}
	must(t, b.Delete(ctx, "k", c.Generation))
}

func generations(t *testing.T, b blob.Bucket) {
	ctx := t.Context()
	seen := map[int64]bool{}
	for range 5 {
		a, err := blob.PutBytes(ctx, b, "k", []byte("same"), blob.Absent)
		must(t, err)
		if seen[a.Generation] {
			t.Fatalf("generation %d came back", a.Generation)
		}
		seen[a.Generation] = true
		must(t, b.Delete(ctx, "k", blob.Any))
	}
}

func missing(t *testing.T, b blob.Bucket) {
	ctx := t.Context()
	_, _, err := b.Get(ctx, "no", 0)
	want(t, err, blob.ErrNotExist)
	_, err = b.Stat(ctx, "no")
	want(t, err, blob.ErrNotExist)
	want(t, b.Delete(ctx, "no", blob.Any), blob.ErrNotExist)
	want(t, b.Delete(ctx, "no", 7), blob.ErrNotExist)
	a, err := blob.PutBytes(ctx, b, "k", []byte("1"), blob.Any)
	must(t, err)
	_, err = blob.PutBytes(ctx, b, "k", []byte("2"), blob.Any)
	must(t, err)
	_, _, err = b.Get(ctx, "k", a.Generation)
	want(t, err, blob.ErrNotExist)
}

func keys(t *testing.T, b blob.Bucket, prefix string) []string {
	t.Helper()
	var out []string
	for a, err := range b.List(t.Context(), prefix) {
		must(t, err)
		out = append(out, a.Key)
	}
	return out
}

func list(t *testing.T, b blob.Bucket) {
	for _, k := range []string{"b/2", "a-1", "b/1", "a/1", "ab/1", "b/1x/y"} {
		_, err := blob.PutBytes(t.Context(), b, k, []byte(k), blob.Any)
		must(t, err)
	}
	for prefix, w := range map[string][]string{
		"": {"a-1", "a/1", "ab/1", "b/1", "b/1x/y", "b/2"}, "a": {"a-1", "a/1", "ab/1"}, "b/": {"b/1", "b/1x/y", "b/2"},
		"b/1": {"b/1", "b/1x/y"}, "zz": nil, "b/1x/": {"b/1x/y"},
	} {
		if got := keys(t, b, prefix); !slices.Equal(got, w) {
			t.Errorf("list %q: %v, want %v", prefix, got, w)
		}
	}
}

// race lets many writers replace the same generation and checks that exactly one succeeds, every time.
func race(t *testing.T, b blob.Bucket) {
	ctx := t.Context()
	a, err := blob.PutBytes(ctx, b, "k", []byte("0"), blob.Absent)
	must(t, err)
	for round := range 5 {
		var won atomic.Int64
		var next atomic.Int64
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				n, err := blob.PutBytes(ctx, b, "k", fmt.Append(nil, round, i), a.Generation)
				switch {
				case err == nil:
					won.Add(1)
					next.Store(n.Generation)
				case !errors.Is(err, blob.ErrPrecondition):
					t.Errorf("writer %d: %v", i, err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Fatalf("%d writers won", won.Load())
		}
		a.Generation = next.Load()
	}
}

func whole(t *testing.T, b blob.Bucket) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	const size = 100_000
	_, err := blob.PutBytes(ctx, b, "k", make([]byte, size), blob.Any)
	must(t, err)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer stop()
		for i := range 20 {
			if _, err := blob.PutBytes(ctx, b, "k", bytes.Repeat([]byte{byte(i)}, size), blob.Any); err != nil {
				t.Error(err)
			}
		}
	})
	for ctx.Err() == nil {
		data, _, err := blob.ReadAll(ctx, b, "k", 0)
		mixed := len(data) != size || !bytes.Equal(data, bytes.Repeat(data[:min(1, len(data))], size))
		if err == nil && mixed {
			t.Fatal("a reader saw a mixture")
		}
		if err != nil && ctx.Err() == nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
}

func cancelled(t *testing.T, b blob.Bucket) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	_, err := blob.PutBytes(ctx, b, "k", []byte("1"), blob.Any)
	want(t, err, context.Canceled)
	_, err = b.Stat(t.Context(), "k")
	want(t, err, blob.ErrNotExist)
}

func badKeys(t *testing.T, b blob.Bucket) {
	for _, k := range []string{"", "/a", "a//b", "../a", "a/..", "a/", "a\nb", `a\b`} {
		_, err := blob.PutBytes(t.Context(), b, k, nil, blob.Any)
		want(t, err, blob.ErrKey)
	}
}

func prefix(t *testing.T, b blob.Bucket) {
	p := blob.Prefix(b, "runs/x/")
	a, err := blob.PutBytes(t.Context(), p, "k", []byte("1"), blob.Absent)
	must(t, err)
	if got := keys(t, p, ""); a.Key != "k" || !slices.Equal(got, []string{"k"}) || !slices.Equal(keys(t, b, ""), []string{"runs/x/k"}) {
		t.Fatalf("put %+v, list %v", a, got)
	}
}
