package checkpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"trmsweep/internal/blob"
	"trmsweep/internal/blob/mem"
	"trmsweep/internal/protocol"
)

var update = flag.Bool("update", false, "write testdata of the current format anew; old versions stay")

// frozen is a run as a program of some version stored it.
func frozen(version int) string { return filepath.Join("testdata", fmt.Sprintf("v%d", version)) }

// everything is a snapshot with every field set.
func everything(step int64) Snapshot {
	s := snap(step)
	s.Meta = Meta{
		ConfigHash: "c0", DatasetHash: "da", CodeVersion: "v0", WorldSize: 1, Seed: 42, DataStep: step, BatchSHA256: "1e",
		BestExactAccuracy: 0.25, BestStep: 1,
		Evals: []protocol.Eval{{Step: 1, ExactAccuracy: 0.25, CellAccuracy: 0.5, QHaltAccuracy: 0.75, MeanSteps: 16, Puzzles: 8}},
		Final: step == 3, Extra: map[string]json.RawMessage{"goodput": json.RawMessage(`{"training":1.5}`)},
	}
	s.Milestone = step == 2
	return s
}

func writeRun(t *testing.T) *mem.Bucket {
	t.Helper()
	b := mem.New(nil)
	at := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	w, err := Acquire(t.Context(), b, Owner{WorkflowID: "w", RunID: "r", ActivityID: "1", Attempt: 2, Host: "h", PID: 7}, quiet,
		WithClock(func() time.Time { return at }))
	if err != nil {
		t.Fatal(err)
	}
	for step := range int64(3) {
		if _, err := w.Save(t.Context(), everything(step+1)); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func load(t *testing.T, dir string) *mem.Bucket {
	t.Helper()
	b := mem.New(nil)
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(filepath.Join(dir, path))
		if err != nil {
			return err
		}
		_, err = blob.PutBytes(t.Context(), b, path, data, blob.Absent)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Every version that was ever written can be read, with all that is in it.
func TestFrozenFormats(t *testing.T) {
	if *update {
		if err := os.RemoveAll(frozen(Format)); err != nil {
			t.Fatal(err)
		}
		b := writeRun(t)
		for a := range b.List(t.Context(), "") {
			data, _, err := blob.ReadAll(t.Context(), b, a.Key, 0)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(frozen(Format), filepath.FromSlash(a.Key))
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	for version := 1; version <= Format; version++ {
		t.Run(fmt.Sprint("version ", version), func(t *testing.T) {
			b := load(t, frozen(version))
			report := verified(t, b)
			whole := report
			whole.OK, whole.Listed, whole.Orphans = true, 3, ""
			if diff := cmp.Diff(whole, report); diff != "" {
				t.Fatalf("verification (-want +got):\n%s", diff)
			}
			h, err := ReadHead(t.Context(), b)
			if err != nil {
				t.Fatal(err)
			}
			wantHead := h
			wantHead.Term, wantHead.Entries = 1, slices.Clone(h.Entries)
			metric := 0.25
			wantHead.Entries[0].Best, wantHead.Entries[0].Metric = true, &metric
			wantHead.Entries[1].Milestone = true
			wantHead.Entries[2].Final = true
			if diff := cmp.Diff(wantHead, h); diff != "" {
				t.Fatalf("HEAD.json (-want +got):\n%s", diff)
			}
			w := acquire(t, b)
			c, err := w.Restore(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			want, err := json.Marshal(everything(3).Meta)
			if err != nil {
				t.Fatal(err)
			}
			if got, _ := json.Marshal(c.Manifest.Meta); !bytes.Equal(got, want) {
				t.Errorf("meta %s\nwant %s", got, want)
			}
			if c.Step != 3 || c.State.SHA256() != state(3).SHA256() {
				t.Errorf("%+v", c)
			}
			log, err := ReadMetrics(t.Context(), b, c.Manifest)
			if err != nil || string(log) != "{\"step\":1}\n{\"step\":2}\n{\"step\":3}\n" {
				t.Errorf("%q %v", log, err)
			}
			save(t, w, 4) // and continued
			report = verified(t, b)
			whole = report
			whole.OK, whole.Newest = true, 4
			if diff := cmp.Diff(whole, report); diff != "" {
				t.Errorf("verification after another save (-want +got):\n%s", diff)
			}
		})
	}
}

// paths are the keys of a JSON document, without array indices.
func paths(t *testing.T, data []byte) []string {
	t.Helper()
	var doc any
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	var walk func(at string, v any)
	walk = func(at string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, e := range v {
				found[at+"/"+k] = true
				walk(at+"/"+k, e)
			}
		case []any:
			for _, e := range v {
				walk(at, e)
			}
		}
	}
	walk("", doc)
	return slices.Sorted(maps.Keys(found))
}

var randomName = regexp.MustCompile(`[0-9a-f]{16}`)

// What is written today has the fields of the frozen files and the same bytes of
// state: a change needs a new version and a frozen run of its own.
func TestFormatHasNotChanged(t *testing.T) {
	now, then := writeRun(t), load(t, frozen(Format))
	objects := func(b blob.Bucket) map[string][]byte {
		out := map[string][]byte{}
		for a := range b.List(t.Context(), "") {
			data, _, err := blob.ReadAll(t.Context(), b, a.Key, 0)
			if err != nil {
				t.Fatal(err)
			}
			out[randomName.ReplaceAllString(a.Key, "*")] = data
		}
		return out
	}
	a, b := objects(now), objects(then)
	if got, want := slices.Sorted(maps.Keys(a)), slices.Sorted(maps.Keys(b)); !slices.Equal(got, want) {
		t.Fatalf("objects %q\nfrozen  %q", got, want)
	}
	for name, data := range a {
		if strings.HasSuffix(name, ".json") {
			if got, want := paths(t, data), paths(t, b[name]); !slices.Equal(got, want) {
				t.Errorf("%s has the fields %q\nfrozen %q", name, got, want)
			}
		} else if !bytes.Equal(data, b[name]) {
			t.Errorf("%s differs from the frozen one", name)
		}
	}
}

// A store of a newer program is refused, not misread, and nothing in it is changed.
func TestNewerVersionsAreRefused(t *testing.T) {
	for _, object := range []string{"HEAD.json", "MANIFEST.json"} {
		t.Run(object, func(t *testing.T) {
			b := load(t, frozen(Format))
			for a := range b.List(t.Context(), "") {
				if strings.HasSuffix(a.Key, object) {
					data, _, err := blob.ReadAll(t.Context(), b, a.Key, 0)
					if err != nil {
						t.Fatal(err)
					}
					data = bytes.Replace(data, fmt.Appendf(nil, `"format": %d`, Format), fmt.Appendf(nil, `"format": %d`, Format+1), 1)
					if _, err := blob.PutBytes(t.Context(), b, a.Key, data, blob.Any); err != nil {
						t.Fatal(err)
					}
				}
			}
			if object == "MANIFEST.json" { // as a newer program would have listed it
				if err := b.Delete(t.Context(), "HEAD.json", blob.Any); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := Acquire(t.Context(), b, Owner{}, quiet); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), "use a newer one") {
				t.Errorf("%v", err)
			}
		})
	}
}
