package dataset

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// batches are the inputs and labels of the first steps.
func batches(t *testing.T, dir string) []byte {
	t.Helper()
	set, err := Open(dir, "train")
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	s, err := NewSampler(set, 3, 16, 5)
	if err != nil {
		t.Fatal(err)
	}
	var out []byte
	var b, want Batch
	want.resize(16)
	for step := range int64(5) {
		if err := s.Batch(step, 0, 1, &b); err != nil {
			t.Fatal(err)
		}
		for i, row := range b.Rows {
			if set.Row(int(row), want.Inputs[81*i:], want.Labels[81*i:]) != b.PuzzleIDs[i] {
				t.Errorf("step %d: another identifier in row %d", step, row)
			}
		}
		if !bytes.Equal(b.Inputs, want.Inputs) || !bytes.Equal(b.Labels, want.Labels) {
			t.Fatalf("step %d: the batch differs from the set's rows", step)
		}
		out = append(append(out, b.Inputs...), b.Labels...)
	}
	return out
}

// inCache makes dir look like a folder of the cache.
func inCache(t testing.TB, dir string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, manifestFile), []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// The compact copy gives the rows of the arrays, whatever happened to it, and is no part of the dataset.
func TestCompactCopy(t *testing.T) {
	dir, _ := mustBuild(t, smoke)
	hash := mustHash(t, dir)
	own := batches(t, dir)
	if _, err := os.Stat(filepath.Join(dir, "train", compactFile)); err == nil {
		t.Error("a file was added to somebody's own folder")
	}
	inCache(t, dir)
	path := filepath.Join(dir, "train", compactFile)
	want := batches(t, dir)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, own) {
		t.Error("other batches than in a folder of one's own")
	}
	if mustHash(t, dir) != hash {
		t.Error("the copy changes the dataset's hash")
	}
	for _, c := range []struct {
		name   string
		damage func(b []byte) []byte
	}{
		{"as it was", func(b []byte) []byte { return b }},
		{"a row changed", func(b []byte) []byte { b[compactHeader+500]++; return b }},
		{"truncated", func(b []byte) []byte { return b[:len(b)-1] }},
		{"another version", func(b []byte) []byte { b[7]++; return b }},
		{"empty", func([]byte) []byte { return nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := os.WriteFile(path, c.damage(bytes.Clone(good)), 0o644); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(batches(t, dir), want) {
				t.Error("other batches")
			}
			if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, good) {
				t.Errorf("the copy was not made again: %v", err)
			}
		})
	}
	t.Run("cannot be written", func(t *testing.T) {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(batches(t, dir), want) {
			t.Error("other batches")
		}
	})
}

// A set that was replaced in its folder is not served from the old set's copy.
func TestCompactCopyFollowsTheSet(t *testing.T) {
	dir, _ := mustBuild(t, smoke)
	inCache(t, dir)
	batches(t, dir)
	o := smoke
	o.Seed++
	other, _ := mustBuild(t, o)
	want := batches(t, other)
	for _, name := range []string{"all__inputs.npy", "all__labels.npy"} {
		b, err := os.ReadFile(filepath.Join(other, "train", name))
		if err != nil {
			t.Fatal(err)
		}
		p := filepath.Join(dir, "train", name)
		if err := os.WriteFile(p, b, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(p, time.Now(), time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(batches(t, dir), want) {
		t.Error("stale rows")
	}
}

func TestValuesOutsideTheVocabulary(t *testing.T) {
	for _, c := range []struct {
		name    string
		compact bool
		at      int // of all__labels.npy
		value   byte
	}{
		{"uint8", true, npyHeaderLen + 81*5 + 3, 11},
		{"uint8 high bit", true, npyHeaderLen + 81*5, 0x81},
		{"int64", false, npyHeaderLen + 8*(81*5+3), 11},
		{"int64 negative", false, npyHeaderLen + 8*(81*5+3) + 7, 0xff},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := smoke
			o.Compact = c.compact
			dir, _ := mustBuild(t, o)
			p := filepath.Join(dir, "train", "all__labels.npy")
			b, err := os.ReadFile(p)
			if err != nil {
				t.Fatal(err)
			}
			b[c.at] = c.value
			if err := os.WriteFile(p, b, 0o644); err != nil {
				t.Fatal(err)
			}
			set, err := Open(dir, "train")
			if err == nil {
				defer set.Close()
				_, err = NewSampler(set, 1, 8, 10)
			}
			if !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), "row 5") || !strings.Contains(err.Error(), "all__labels.npy") {
				t.Errorf("error %v", err)
			}
		})
	}
}

func BenchmarkCompactCopy1M(b *testing.B) {
	out := filepath.Join(b.TempDir(), "set")
	if _, err := Build(context.Background(), Options{Source: SourceGenerate, Count: 1000, TestCount: 1, NumAug: 1000}, out, nil); err != nil {
		b.Fatal(err)
	}
	inCache(b, out)
	for _, c := range []string{"make", "map"} {
		b.Run(c, func(b *testing.B) {
			for range b.N {
				if c == "make" {
					os.Remove(filepath.Join(out, "train", compactFile))
				}
				set, err := Open(out, "train")
				if err != nil {
					b.Fatal(err)
				}
				if _, err := NewSampler(set, 1, 1024, 100); err != nil {
					b.Fatal(err)
				}
				set.Close()
			}
		})
	}
}
