package dataset

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// tree is every entry below dir, with its kind.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		text := ""
		if d.Type().IsRegular() {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text = string(b)
		}
		all = append(all, path+" "+d.Type().String()+" "+text)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, "\n")
}

// By force a dataset is replaced, and nothing else ever.
func TestForceReplacesDatasetsOnly(t *testing.T) {
	mkdir := func(path string) {
		t.Helper()
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name    string
		prepare func(out string, set string) // set is a dataset to take things from
		want    string                       // of the refusal; empty = replaced
	}{
		{"a dataset", func(out, set string) { must(os.Rename(set, out)) }, ""},
		{"a dataset with a compact copy", func(out, set string) {
			must(os.Rename(set, out))
			writeFile(t, filepath.Join(out, "train", compactFile), []byte("x"))
		}, ""},
		{"a dataset of the reference's", func(out, set string) {
			must(os.Rename(set, out))
			must(os.Remove(filepath.Join(out, provenanceFile)))
		}, ""},
		{"half of a dataset", func(out, set string) {
			must(os.Rename(set, out))
			must(os.RemoveAll(filepath.Join(out, "train")))
		}, ""},
		{"photos for training", func(out, _ string) {
			writeFile(t, filepath.Join(out, "train", "cat.jpg"), []byte("photo"))
			mkdir(filepath.Join(out, "test"))
		}, "holds train/cat.jpg"},
		{"empty folders of the names", func(out, _ string) { mkdir(filepath.Join(out, "train")); mkdir(filepath.Join(out, "test")) },
			"is no dataset"},
		{"an empty folder", func(out, _ string) { mkdir(out) }, "is no dataset"},
		{"arrays without a description", func(out, set string) { must(os.Rename(filepath.Join(set, "train"), out)) },
			"holds all__group_indices.npy"},
		{"another's provenance", func(out, _ string) { writeFile(t, filepath.Join(out, provenanceFile), []byte(`{"hash":"x"}`)) },
			"is no dataset"},
		{"a dataset of another game", func(out, _ string) {
			writeFile(t, filepath.Join(out, "train", metaFile), []byte(`{"seq_len":900,"vocab_size":12}`))
		}, "is no dataset"},
		{"a dataset with notes", func(out, set string) { must(os.Rename(set, out)); writeFile(t, filepath.Join(out, "notes.txt"), nil) },
			"holds notes.txt"},
		{"a dataset with a file deep in it", func(out, set string) {
			must(os.Rename(set, out))
			writeFile(t, filepath.Join(out, "test", "a", "b"), nil)
		}, "holds test/a"},
		{"a dataset with a hidden folder", func(out, set string) { must(os.Rename(set, out)); mkdir(filepath.Join(out, ".git")) }, "holds .git"},
		{"a folder by the name of a file", func(out, set string) {
			must(os.Rename(set, out))
			must(os.Remove(filepath.Join(out, "identifiers.json")))
			mkdir(filepath.Join(out, "identifiers.json"))
		}, "holds identifiers.json"},
		{"a split that is a link", func(out, set string) {
			must(os.Rename(set, out))
			must(os.Rename(filepath.Join(out, "test"), out+"-test"))
			must(os.Symlink(out+"-test", filepath.Join(out, "test")))
		}, "holds test,"},
		{"a link to a dataset", func(out, set string) { must(os.Symlink(set, out)) }, "is a symbolic link"},
		{"a link to nowhere", func(out, _ string) { must(os.Symlink(out+"-none", out)) }, "is a symbolic link"},
		{"a file", func(out, _ string) { writeFile(t, out, []byte("x")) }, "is a file"},
		{"a pipe", func(out, _ string) { must(syscall.Mkfifo(out, 0o600)) }, "is a pipe"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			out, set := filepath.Join(dir, "out"), filepath.Join(dir, "set")
			o := Options{Source: SourceGenerate, Count: 2, TestCount: 1}
			if _, err := Build(context.Background(), o, set, nil); err != nil {
				t.Fatal(err)
			}
			c.prepare(out, set)
			before := tree(t, dir)
			if _, err := Build(context.Background(), o, out, nil); !errors.Is(err, ErrOptions) || !strings.Contains(err.Error(), "exists already") {
				t.Errorf("without force: %v", err)
			}
			o.Force, o.Seed = true, 7
			sum, err := Build(context.Background(), o, out, nil)
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				var got Summary
				if !decodeFile(filepath.Join(out, provenanceFile), &got) || got.Hash != sum.Hash {
					t.Error("not replaced")
				}
				return
			}
			if !errors.Is(err, ErrOptions) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if after := tree(t, dir); after != before {
				t.Errorf("before\n%.500s\nafter\n%.500s", before, after)
			}
		})
	}
	_, err := Build(context.Background(), Options{Source: SourceGenerate, Count: 2, TestCount: 1, Force: true}, "/dev/null", nil)
	if !errors.Is(err, ErrOptions) || !strings.Contains(err.Error(), "is a device") {
		t.Errorf("a device: %v", err)
	}
}

// What comes into the folder while the dataset is built stays.
func TestForceLooksAgainBeforeItDeletes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "set")
	o := Options{Source: SourceGenerate, Count: 2, TestCount: 1}
	if _, err := Build(context.Background(), o, dir, nil); err != nil {
		t.Fatal(err)
	}
	o.Force = true
	note := filepath.Join(dir, "note")
	_, err := Build(context.Background(), o, dir, func(Progress) { writeFile(t, note, []byte("x")) })
	if !errors.Is(err, ErrOptions) || !strings.Contains(err.Error(), "holds note") {
		t.Error(err)
	}
	if _, err := Open(dir, "train"); err != nil {
		t.Error(err)
	}
	if err := removeDataset(dir); err == nil {
		t.Error("removed a folder that is not empty")
	}
	if _, err := os.Stat(note); err != nil {
		t.Error(err)
	}
}

// The umask decides who may read what is made here.
func TestUmaskHoldsForDatasets(t *testing.T) {
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	dir := filepath.Join(t.TempDir(), "set")
	if _, err := Build(context.Background(), Options{Source: SourceGenerate, Count: 2, TestCount: 1, NumAug: 1}, dir, nil); err != nil {
		t.Fatal(err)
	}
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, _ error) error {
		if info, err := d.Info(); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v %v", path, info.Mode(), err)
		}
		return nil
	})
	syscall.Umask(0o022)
	for path, want := range map[string]fs.FileMode{"a/folder": 0o755, "a/file": 0o644} {
		path = filepath.Join(dir, path)
		if path[len(path)-1] == 'r' {
			part, release, err := newPart(path)
			if err != nil {
				t.Fatal(err)
			}
			defer release()
			path = part
		} else if err := copyAtomic(path, strings.NewReader("x")); err != nil {
			t.Fatal(err)
		}
		if st, err := os.Stat(path); err != nil || st.Mode().Perm() != want {
			t.Errorf("%s: %v %v", path, st.Mode(), err)
		}
	}
}
