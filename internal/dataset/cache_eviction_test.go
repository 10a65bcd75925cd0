package dataset

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"trmsweep/internal/blob/mem"
)

func limitCache(t *testing.T, n int64) {
	t.Helper()
	old := CacheLimit
	CacheLimit = n
	t.Cleanup(func() { CacheLimit = old })
}

// The least recently used sets go, but not what was used lately, and what is open stays readable.
func TestEviction(t *testing.T) {
	ctx := context.Background()
	b, cache := mem.New(nil), t.TempDir()
	var dirs []string
	for i := range 4 {
		o := smoke
		o.Seed = int64(100 + i)
		d, err := Ensure(ctx, b, o, cache, nil)
		if err != nil {
			t.Fatal(err)
		}
		dirs = append(dirs, d.Dir)
	}
	open, err := Open(dirs[1], "train")
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	for i, age := range []time.Duration{2 * time.Hour, 5 * time.Hour, 30 * time.Minute, 3 * time.Hour} {
		when := time.Now().Add(-age)
		if err := os.Chtimes(filepath.Join(dirs[i], manifestFile), when, when); err != nil {
			t.Fatal(err)
		}
	}
	there := func() (have []int) {
		for i, d := range dirs {
			if _, err := os.Stat(d); err == nil {
				have = append(have, i)
			}
		}
		return have
	}
	m, err := readManifest(dirs[0], filepath.Base(dirs[0]))
	if err != nil {
		t.Fatal(err)
	}
	var size int64
	for _, f := range m.Files {
		size += f.Size
	}
	base := filepath.Join(cache, "datasets")
	for _, c := range []struct {
		sets float64 // that fit
		keep int
		want []int
	}{{9, 0, []int{0, 1, 2, 3}}, {3.5, 0, []int{0, 2, 3}}, {0, 0, []int{0, 2}}, {0, 2, []int{2}}} {
		limitCache(t, int64(c.sets*float64(size)))
		evict(base, filepath.Base(dirs[c.keep]))
		if got := there(); !slices.Equal(got, c.want) {
			t.Fatalf("room for %g: sets %v are left, want %v", c.sets, got, c.want)
		}
	}
	if q, _ := gridsOf(open, 0); q.Clues() < 17 {
		t.Error("the open set is not readable any more")
	}
	o := smoke
	o.Seed = 101
	if d, err := Ensure(ctx, b, o, cache, nil); err != nil || d.Built || d.Dir != dirs[1] {
		t.Errorf("the evicted set comes from the bucket: built %v, %v", d.Built, err)
	}
}

func TestEvictFiles(t *testing.T) {
	dir := t.TempDir()
	for name, age := range map[string]time.Duration{
		"old": 5 * time.Hour, "older": 6 * time.Hour, "new": time.Minute, ".x.lock": 9 * time.Hour, ".part-1": 25 * time.Hour,
		".part-2": time.Hour,
	} {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, make([]byte, 100), 0o644); err != nil {
			t.Fatal(err)
		}
		when := time.Now().Add(-age)
		if err := os.Chtimes(p, when, when); err != nil {
			t.Fatal(err)
		}
	}
	limitCache(t, 250)
	evictFiles(dir, "new")
	if got := entries(t, dir); !slices.Equal(got, []string{".part-2", ".x.lock", "new", "old"}) {
		t.Errorf("left: %v", got)
	}
	limitCache(t, 0)
	evictFiles(dir, "old")
	if got := entries(t, dir); !slices.Equal(got, []string{".part-2", ".x.lock", "new", "old"}) {
		t.Errorf("left: %v", got)
	}
}
