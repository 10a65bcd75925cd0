package train

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"trmsweep/internal/blob"
	"trmsweep/internal/blob/mem"
	"trmsweep/internal/checkpoint"
	"trmsweep/internal/dataset"
)

func verify(t *testing.T, b blob.Bucket) Verification {
	t.Helper()
	v, err := Verify(t.Context(), VerifyOptions{Bucket: readOnly{b}, Run: "r", DataDir: dataDir(t), CacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestVerifyWholeRuns(t *testing.T) {
	b := mem.New(nil)
	for _, steps := range []int64{3, 8, 0} { // resumed twice, the last time to the end
		if a := attempt(t, b, tiny(t), func(o *Options) { o.MaxSteps = steps }); a.err != nil {
			t.Fatal(a.err)
		}
		v := verify(t, b)
		step := steps
		if steps == 0 {
			step = 24
		}
		want := v
		want.OK = true
		want.Total = 24
		want.Finished = step == 24
		want.Orphans = nil
		want.Step, want.BatchSteps, want.LoggedSteps = step, step, step
		if diff := cmp.Diff(want, v, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("verification at step %d (-want +got):\n%s", step, diff)
		}
	}
	v := verify(t, b)
	w := v
	w.BatchSHA, w.StateSHA256, w.LoggedEvals = want(t).res.BatchSHA256, want(t).res.StateSHA256, 3
	if diff := cmp.Diff(w, v); diff != "" {
		t.Errorf("verification at the end (-want +got):\n%s", diff)
	}
}

// clone copies a store object by object, as a user does who moves a run; generations change.
func clone(t *testing.T, b blob.Bucket) *mem.Bucket {
	t.Helper()
	out := mem.New(nil)
	for a, err := range b.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		data, _, err := blob.ReadAll(t.Context(), b, a.Key, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := blob.PutBytes(t.Context(), out, a.Key, data, blob.Absent); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// Every kind of damage to every kind of object is found, and the object named.
func TestVerifyFindsDamage(t *testing.T) {
	whole := mem.New(nil)
	if a := attempt(t, whole, tiny(t)); a.err != nil {
		t.Fatal(a.err)
	}
	damages := []struct {
		name   string
		change func([]byte) []byte // nil: the object is deleted
	}{
		{"flipped", func(d []byte) []byte { d[len(d)/2] ^= 4; return d }},
		{"truncated", func(d []byte) []byte { return d[:len(d)/2] }},
		{"empty", func([]byte) []byte { return nil }},
		{"longer", func(d []byte) []byte { return append(d, 0) }},
		{"missing", nil},
	}
	for _, c := range []struct {
		object string
		fault  string // how its line begins
	}{
		{".safetensors", "checkpoint of step 24: "},
		{"MANIFEST.json", "checkpoint of step 24: "},
		{".jsonl", "log: "},
		{"tfevents", "log: "},
		{"spec.json", "spec.json: "},
		{"result.json", ""},
	} {
		for _, d := range damages {
			t.Run(c.object+" "+d.name, func(t *testing.T) {
				b := clone(t, whole)
				last := ""
				for a := range b.List(t.Context(), "runs/r/") {
					if strings.Contains(a.Key, c.object) {
						last = a.Key
					}
				}
				if d.change != nil {
					b.Tamper(last, d.change)
				} else if err := b.Delete(t.Context(), last, blob.Any); err != nil {
					t.Fatal(err)
				}
				v := verify(t, b)
				named := slices.ContainsFunc(v.Faults, func(f string) bool {
					return strings.HasPrefix(f, c.fault) && strings.Contains(f, strings.TrimPrefix(last, "runs/r/"))
				})
				if v.OK || !named {
					t.Errorf("%s: %v", last, v.Faults)
				}
			})
		}
	}
}

// A HEAD that is damaged or gone is said to be so, with what mends it: the next attempt does.
func TestVerifyWithoutHead(t *testing.T) {
	for name, change := range map[string]func(*mem.Bucket){
		"damaged": func(b *mem.Bucket) { b.Tamper("runs/r/HEAD.json", func(d []byte) []byte { return d[:len(d)/2] }) },
		"gone":    func(b *mem.Bucket) { _ = b.Delete(t.Context(), "runs/r/HEAD.json", blob.Any) },
	} {
		t.Run(name, func(t *testing.T) {
			b := mem.New(nil)
			if a := attempt(t, b, tiny(t), func(o *Options) { o.MaxSteps = 9 }); a.err != nil {
				t.Fatal(a.err)
			}
			change(b)
			v := verify(t, b)
			if v.OK || len(v.Faults) != 1 || !strings.Contains(v.Faults[0], "HEAD.json") || !strings.Contains(v.Faults[0], "next attempt") {
				t.Errorf("%v", v.Faults)
			}
			a := attempt(t, b, tiny(t))
			same(t, b, a)
			if v := verify(t, b); !v.OK || a.res.RestoredFromStep != 9 {
				t.Errorf("restored from step %d; %v", a.res.RestoredFromStep, v.Faults)
			}
		})
	}
}

// meanwhile is a bucket in which something happens before the first state file is read.
type meanwhile struct {
	blob.Bucket
	once sync.Once
	do   func()
}

func (m *meanwhile) Get(ctx context.Context, key string, generation int64) (io.ReadCloser, blob.Attr, error) {
	if strings.HasSuffix(key, ".safetensors") {
		m.once.Do(m.do)
	}
	return m.Bucket.Get(ctx, key, generation)
}

// The checkpoints that a run in training has listed and deletes are no damage.
func TestVerifyBesideTraining(t *testing.T) {
	b := mem.New(nil)
	train := func(steps int64) {
		if a := attempt(t, b, tiny(t, "keep_checkpoints=1"), func(o *Options) { o.MaxSteps = steps }); a.err != nil {
			t.Fatal(a.err)
		}
	}
	train(6)
	changed := false
	v := verify(t, &meanwhile{Bucket: b, do: func() { train(20); changed = true }})
	if !changed {
		t.Error("the run was not trained meanwhile")
	}
	want := v
	want.OK, want.Step = true, 20
	if diff := cmp.Diff(want, v); diff != "" {
		t.Errorf("verification (-want +got):\n%s", diff)
	}
}

// A trainer with a fault writes files that are whole and say something wrong.
func TestVerifyRecomputes(t *testing.T) {
	three := mem.New(nil)
	if a := attempt(t, three, tiny(t), func(o *Options) { o.MaxSteps = 3 }); a.err != nil {
		t.Fatal(a.err)
	}
	for _, c := range []struct {
		name   string
		change func(*checkpoint.Snapshot)
		says   string
	}{
		{"right", func(*checkpoint.Snapshot) {}, ""},
		{"a batch twice", func(s *checkpoint.Snapshot) { s.Meta.BatchSHA256 = chain(t, 1, 2, 3, 3) }, "batch chain of step 4"},
		{"a batch skipped", func(s *checkpoint.Snapshot) { s.Meta.BatchSHA256 = chain(t, 1, 2, 3, 5) }, "batch chain of step 4"},
		{"data position", func(s *checkpoint.Snapshot) { s.Meta.DataStep = 3 }, "has taken 3 batches"},
		{"a step twice in the log", func(s *checkpoint.Snapshot) { s.MetricsJSONL = []byte("{\"step\":3}\n{\"step\":4}\n") },
			"step 3 comes after step 3"},
		{"a step missing in the log", func(s *checkpoint.Snapshot) { s.MetricsJSONL = nil }, "ends at step 3"},
		{"an evaluation that is not due", func(s *checkpoint.Snapshot) { s.MetricsJSONL = []byte("{\"step\":4}\n{\"step\":2,\"eval\":{}}\n") },
			"evaluation of step 2"},
		{"another spec", func(s *checkpoint.Snapshot) { s.Meta.ConfigHash = strings.Repeat("0", 64) }, "spec.json"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := clone(t, three)
			w, err := checkpoint.Acquire(t.Context(), blob.Prefix(b, "runs/r/"), checkpoint.Owner{},
				checkpoint.WithLogger(slog.New(slog.DiscardHandler)))
			if err != nil {
				t.Fatal(err)
			}
			ck, err := w.Restore(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			s := checkpoint.Snapshot{Step: 4, State: ck.State, Meta: ck.Manifest.Meta, MetricsJSONL: []byte("{\"step\":4}\n")}
			s.Meta.DataStep, s.Meta.BatchSHA256 = 4, chain(t, 1, 2, 3, 4)
			c.change(&s)
			if _, err := w.Save(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			v := verify(t, b)
			if all := strings.Join(v.Faults, "\n"); v.OK != (c.says == "") || !strings.Contains(all, c.says) {
				t.Errorf("want %q in %q", c.says, all)
			}
		})
	}
}

// chain is the digest after the batches of the given steps were fed as steps 1, 2, ...
func chain(t *testing.T, steps ...int64) string {
	t.Helper()
	set, err := dataset.Open(dataDir(t), "train")
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	spec := tiny(t)
	sampler, err := dataset.NewSampler(set, uint64(spec.Seed), spec.GlobalBatchSize, spec.EvalIntervalEpochs)
	if err != nil {
		t.Fatal(err)
	}
	l, _ := ParseBatchChain("")
	draws := make([]int32, spec.GlobalBatchSize)
	for i, step := range steps {
		var b dataset.Batch
		if err := sampler.Batch(step-1, 0, 1, &b); err != nil {
			t.Fatal(err)
		}
		explore(draws, uint64(spec.Seed), step, spec.HaltExplorationProb, spec.HaltMaxSteps)
		l.Add(int64(i+1), &b, draws)
	}
	return l.Digest()
}

func TestVerifyWithoutRunOrData(t *testing.T) {
	b := mem.New(nil)
	o := VerifyOptions{Bucket: b, Run: "r", CacheDir: t.TempDir()}
	if _, err := Verify(t.Context(), o); !errors.Is(err, ErrNoRun) {
		t.Fatal(err)
	}
	if a := attempt(t, b, tiny(t), func(o *Options) { o.MaxSteps = 3 }); a.err != nil {
		t.Fatal(a.err)
	}
	if _, err := Verify(t.Context(), o); !errors.Is(err, ErrNeedData) || !strings.Contains(fmt.Sprint(err), "--data") {
		t.Fatal(err)
	}
}

// The dataset of a run is found by its hash, though its source is gone.
func TestVerifyFetchesTheDataset(t *testing.T) {
	b := mem.New(nil)
	if a := attempt(t, b, tiny(t), func(o *Options) { o.DataDir, o.CacheDir, o.MaxSteps = "", t.TempDir(), 3 }); a.err != nil {
		t.Fatal(a.err)
	}
	o := VerifyOptions{Bucket: readOnly{b}, Run: "r", CacheDir: t.TempDir()}
	for range 2 { // from the store, then from the cache
		v, err := Verify(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		want := v
		want.OK, want.BatchSteps = true, 3
		if diff := cmp.Diff(want, v); diff != "" {
			t.Fatalf("verification (-want +got):\n%s", diff)
		}
	}
	for a := range b.List(t.Context(), "datasets/") {
		if err := b.Delete(t.Context(), a.Key, blob.Any); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.RemoveAll(o.CacheDir); err != nil {
		t.Fatal(err)
	}
	if v, err := Verify(t.Context(), o); err != nil || !v.OK { // made again from its generator
		t.Fatalf("%+v %v", v, err)
	}
}
