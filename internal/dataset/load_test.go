package dataset

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"trmsweep/internal/blob/mem"
)

// text is everything that a set hands out.
func (s *Set) text(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	var in, lab [81]uint8
	fmt.Fprintln(&b, s.Rows(), s.Groups(), s.NumPuzzleIdentifiers())
	for i := range s.Rows() {
		id := s.Row(i, in[:], lab[:])
		fmt.Fprintln(&b, id, in, lab)
	}
	sampler, err := NewSampler(s, 3, 4, 5)
	if err != nil {
		t.Fatal(err)
	}
	var batch Batch
	for step := range int64(20) {
		if err := sampler.Batch(step, 0, 1, &batch); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&b, batch)
	}
	return b.String()
}

// A folder that was loaded is the one that its hash names, whatever happens to its files.
func TestLoadedFolderDoesNotChange(t *testing.T) {
	for _, c := range []struct {
		name string
		o    Options
	}{
		{"uint8", Options{Source: SourceGenerate, Count: 6, TestCount: 5}},
		{"int64", Options{Source: SourceGenerate, Count: 6, TestCount: 5, NumAug: 3}},
		{"uint8 with augmentations", Options{Source: SourceGenerate, Count: 6, TestCount: 5, NumAug: 3, Compact: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, _ := mustBuild(t, c.o)
			want := map[string]string{}
			for _, split := range []string{"train", "test"} {
				s, err := Open(dir, split)
				if err != nil {
					t.Fatal(err)
				}
				want[split] = s.text(t)
				s.Close()
			}
			link := filepath.Join(t.TempDir(), "link")
			if err := os.Symlink(dir, link); err != nil {
				t.Fatal(err)
			}
			f, err := Load(link)
			if err != nil || f.Hash != mustHash(t, dir) {
				t.Fatalf("%v, hash %s, want %s", err, f.Hash, mustHash(t, dir))
			}
			defer f.Close()
			for _, name := range []string{"inputs", "labels", "puzzle_identifiers", "group_indices"} {
				for _, split := range []string{"train", "test"} {
					path := filepath.Join(dir, split, arrayFile(name))
					if name == "labels" {
						writeFile(t, path, bytes.Repeat([]byte{1}, 9999))
					} else if err := os.Truncate(path, 0); err != nil {
						t.Fatal(err)
					}
				}
			}
			for split, w := range want {
				s, err := f.Split(split)
				if err != nil {
					t.Fatal(err)
				}
				if got := s.text(t); got != w {
					t.Errorf("%s: other rows than the files had", split)
				}
			}
		})
	}
}

func TestLoadReadsRegularFilesOnly(t *testing.T) {
	dir, _ := mustBuild(t, smoke)
	if err := syscall.Mkfifo(filepath.Join(dir, "train", "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Load(dir)
	_, herr := HashDir(dir)
	for _, err := range []error{err, herr} {
		if err == nil || !strings.Contains(err.Error(), "pipe: is a pipe, want a regular file") {
			t.Errorf("%v", err)
		}
	}
}

// The array's size is that at its opening: one that is written to meanwhile is refused.
func TestArrayThatChangesWhileItIsRead(t *testing.T) {
	whole := append(npyHeader("|u1", 2, 81), bytes.Repeat([]byte{1}, 2*81)...)
	for name, b := range map[string][]byte{"shorter": whole[:200], "longer": append(slices.Clone(whole), 1)} {
		l := &loading{set: &Set{}}
		defer l.set.Close()
		err := l.readRows(bufio.NewReader(bytes.NewReader(b)), "x", 0, int64(len(whole)))
		if err == nil || !strings.Contains(err.Error(), "changed while it was read") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSameDatasetByTwoNames(t *testing.T) {
	ctx := context.Background()
	store, other := mem.New(nil), mem.New(nil)
	d, err := Ensure(ctx, store, smoke, t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	hash := d.Hash
	f, err := Load(d.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	unknown := strings.Repeat("0", 64)
	for _, c := range []struct {
		name, a, b string
		want       bool
	}{
		{"its contents", hash, f.Hash, true}, {"the other way round", f.Hash, hash, true}, {"itself", unknown, unknown, true},
		{"another", hash, unknown, false}, {"no hash", "../" + hash[3:], f.Hash, false},
	} {
		if same, err := Same(ctx, store, c.a, c.b); err != nil || same != c.want {
			t.Errorf("%s: %v %v", c.name, same, err)
		}
	}
	if same, err := Same(ctx, other, hash, f.Hash); err != nil || same {
		t.Errorf("a store without it: %v %v", same, err)
	}
}

// A hash that a store says is a name of a folder here: nothing else is taken.
func TestOnlyHashesNameDatasets(t *testing.T) {
	dir := t.TempDir()
	victim := writeFile(t, filepath.Join(dir, "victim", "x"), []byte("x"))
	if _, err := Fetch(t.Context(), mem.New(nil), "../../victim", filepath.Join(dir, "cache")); err == nil {
		t.Error("no error")
	}
	if _, err := os.Stat(victim); err != nil {
		t.Error(err)
	}
}
