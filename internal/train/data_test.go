package train

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"trmsweep/internal/blob/mem"
	"trmsweep/internal/protocol"
	"trmsweep/internal/sudoku"
)

// csvFolder is a source of eight train and six test puzzles.
func csvFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	var s sudoku.Solver
	for split, n := range map[string]int{"train": 8, "test": 6} {
		text := "source,question,answer,rating\n"
		for i := range n {
			p := s.Generate(0, uint64(n), uint64(i))
			text += fmt.Sprintf("x,%s,%s,%d\n", p.Question, p.Answer, p.Rating)
		}
		if err := os.WriteFile(filepath.Join(dir, split+".csv"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// A run of the store can be evaluated where its source is not, and with its own folder of the cache.
func TestDatasetOfARunIsFoundWithoutItsSource(t *testing.T) {
	b, source, cache := mem.New(nil), csvFolder(t), t.TempDir()
	a := attempt(t, b, tiny(t, "data_source="+source), func(o *Options) { o.DataDir, o.CacheDir = "", cache })
	if a.err != nil {
		t.Fatal(a.err)
	}
	if err := os.RemoveAll(source); err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(cache, "datasets", a.res.DatasetHash)
	plain := filepath.Join(t.TempDir(), "plain") // the same without its manifest
	if err := os.CopyFS(plain, os.DirFS(own)); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(plain, "MANIFEST.json")); err != nil {
		t.Fatal(err)
	}
	want := result(t, b).Final.ExactAccuracy
	for _, c := range []struct {
		name, data string
		want       error
	}{
		{"from the store", "", nil}, {"its folder in the cache", own, nil}, {"a copy of it", plain, nil},
		{"another dataset", dataDir(t), ErrMismatch},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Evaluate(t.Context(), EvalOptions{
				Options: Options{Bucket: readOnly{b}, Run: "r", CacheDir: t.TempDir(), DataDir: c.data, Backend: "cpu"},
			})
			if !errors.Is(err, c.want) {
				t.Errorf("eval: %v, want %v", err, c.want)
			}
			if err == nil {
				wanted := got
				wanted.ExactAccuracy, wanted.DatasetHash = want, a.res.DatasetHash
				if diff := cmp.Diff(wanted, got); diff != "" {
					t.Errorf("eval (-want +got):\n%s", diff)
				}
			}
			v, err := Verify(t.Context(), VerifyOptions{Bucket: readOnly{b}, Run: "r", DataDir: c.data, CacheDir: t.TempDir()})
			right := err == nil && v.OK
			if c.want != nil {
				right = errors.Is(err, ErrNeedData)
			}
			if !right {
				t.Errorf("verify: %v %v", v.Faults, err)
			}
			again := attempt(t, b, tiny(t, "data_source="+source), func(o *Options) { o.DataDir, o.CacheDir = c.data, cache })
			if !errors.Is(again.err, c.want) {
				t.Errorf("train: %v", again.err)
			}
		})
	}
}

// The store does not hold a folder of the user.
func TestEvaluationAsksForTheFolderThatARunWasTrainedOn(t *testing.T) {
	b := mem.New(nil)
	if a := attempt(t, b, tiny(t)); a.err != nil {
		t.Fatal(a.err)
	}
	_, err := Evaluate(t.Context(), EvalOptions{Options: Options{Bucket: b, Run: "r", CacheDir: t.TempDir(), Backend: "cpu"}})
	if !errors.Is(err, ErrNeedData) || !strings.Contains(err.Error(), "--data") {
		t.Errorf("without the folder: %v", err)
	}
}

// What happens to the files of --data while a run trains changes nothing, and kills nothing.
func TestFilesOfTheDatasetChangeDuringARun(t *testing.T) {
	b := mem.New(nil)
	a := attempt(t, b, tiny(t))
	if a.err != nil {
		t.Fatal(a.err)
	}
	want := result(t, b)
	for name, change := range map[string]func(b []byte) []byte{
		"truncated":   func([]byte) []byte { return nil },
		"overwritten": func(b []byte) []byte { return append(b[:128:128], bytes.Repeat([]byte{2}, len(b)-128)...) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			if err := os.CopyFS(dir, os.DirFS(dataDir(t))); err != nil {
				t.Fatal(err)
			}
			b := mem.New(nil)
			done := false
			a := attempt(t, b, tiny(t), func(o *Options) {
				o.DataDir = dir
				events := o.Events
				o.Events = func(e protocol.Event) {
					events(e)
					if done || e.Step < 1 {
						return
					}
					done = true
					err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
						if err != nil || !strings.HasSuffix(path, ".npy") {
							return err
						}
						text, err := os.ReadFile(path)
						if err != nil {
							return err
						}
						return os.WriteFile(path, change(text), 0o644)
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
			if a.err != nil || !done {
				t.Fatalf("%v, changed: %v", a.err, done)
			}
			got := result(t, b)
			same := got
			same.StateSHA256, same.Final, same.DatasetHash = want.StateSHA256, want.Final, want.DatasetHash
			if diff := cmp.Diff(same, got); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
		})
	}
}
