package train

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"trmsweep/internal/blob"
	"trmsweep/internal/blob/mem"
	"trmsweep/internal/checkpoint"
	"trmsweep/internal/dataset"
	"trmsweep/internal/protocol"
	"trmsweep/internal/tensor"
	"trmsweep/internal/trm"
)

// weights is a state to import, not that of the spec's seed, and the options that import it as run r.
func weights(t *testing.T, b blob.Bucket) ImportOptions {
	t.Helper()
	hash, err := dataset.HashDir(dataDir(t))
	if err != nil {
		t.Fatal(err)
	}
	state := trm.ConfigFromSpec(tiny(t), 1).InitState(4242)
	return ImportOptions{Bucket: b, Run: "r", Spec: tiny(t), DatasetHash: hash, State: state,
		From: protocol.Imported{File: "theirs.safetensors", SHA256: strings.Repeat("a", 64)}}
}

// killedPut is a bucket whose process dies in its n-th write: nothing works afterwards.
type killedPut struct {
	blob.Bucket
	left int
	lost bool // the write happens
}

var errKilled = errors.New("killed")

func (k *killedPut) Put(ctx context.Context, key string, body io.ReaderAt, size, gen int64) (blob.Attr, error) {
	k.left--
	if k.left == 0 && k.lost {
		_, _ = k.Bucket.Put(ctx, key, body, size, gen)
	}
	if k.left <= 0 {
		return blob.Attr{}, errKilled
	}
	return k.Bucket.Put(ctx, key, body, size, gen)
}

// An import that dies at any write is no run that begins from the seed: train refuses it and
// says what to do, verify names it, and the same import again makes the run.
func TestImportKilledAnywhere(t *testing.T) {
	want := mem.New(nil)
	if err := Import(t.Context(), weights(t, want)); err != nil {
		t.Fatal(err)
	}
	undisturbed := attempt(t, want, tiny(t))
	if undisturbed.err != nil {
		t.Fatal(undisturbed.err)
	}
	ends := 0
	for at := 1; ends == 0; at++ {
		for _, lost := range []bool{false, true} {
			b := mem.New(nil)
			err := Import(t.Context(), weights(t, &killedPut{Bucket: b, left: at, lost: lost}))
			if err == nil {
				ends++
				continue
			}
			_, serr := b.Stat(t.Context(), "runs/r/HEAD.json")
			m, _, nerr := checkpoint.Newest(t.Context(), blob.Prefix(b, "runs/r/"))
			if nerr != nil {
				t.Fatal(nerr)
			}
			begun, done := at > 1 || lost, m != nil
			if begun && !done {
				a := attempt(t, b, tiny(t))
				if !errors.Is(a.err, ErrUnfinishedImport) || !strings.Contains(a.err.Error(), "repeat the same `trmsweep import`") {
					t.Fatalf("write %d, lost %v: train: %v", at, lost, a.err)
				}
				if v := verify(t, b); v.OK || !strings.Contains(strings.Join(v.Faults, "\n"), "theirs.safetensors") {
					t.Fatalf("write %d, lost %v: verify: %v", at, lost, v.Faults)
				}
			}
			var want error
			if done {
				want = ErrRunExists
			}
			if err := Import(t.Context(), weights(t, b)); !errors.Is(err, want) {
				t.Fatalf("write %d, lost %v, HEAD there %v: again: %v", at, lost, serr == nil, err)
			}
			a := attempt(t, b, tiny(t))
			if a.err != nil || a.res.StateSHA256 != undisturbed.res.StateSHA256 {
				t.Fatalf("write %d, lost %v: %+v %v", at, lost, a.res, a.err)
			}
		}
	}
}

// foreignHead is the HEAD.json of a run that has saved the steps.
func foreignHead(t *testing.T, steps ...int64) []byte {
	t.Helper()
	b := mem.New(nil)
	if len(steps) == 0 {
		begun(t, b)
	}
	for _, step := range steps {
		if a := attempt(t, b, tiny(t), func(o *Options) { o.MaxSteps = step }); a.err != nil {
			t.Fatal(a.err)
		}
	}
	data, _, err := blob.ReadAll(t.Context(), b, "runs/r/HEAD.json", 0)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// begun makes the run r of a training that has saved nothing yet.
func begun(t *testing.T, b blob.Bucket) {
	t.Helper()
	_, err := checkpoint.Acquire(t.Context(), blob.Prefix(b, "runs/r/"), checkpoint.Owner{Host: "trainer"},
		checkpoint.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
}

// An import that died before its first checkpoint, and whose HEAD.json is damaged besides, is still
// an unfinished import: nobody is told to delete it, and importing again makes the run.
func TestUnfinishedImportWithADamagedHead(t *testing.T) {
	want := mem.New(nil)
	oneStep := func(o *Options) { o.MaxSteps = 1 }
	if err := Import(t.Context(), weights(t, want)); err != nil {
		t.Fatal(err)
	}
	undisturbed := attempt(t, want, tiny(t), oneStep)
	if undisturbed.err != nil {
		t.Fatal(undisturbed.err)
	}
	for _, c := range []struct {
		name string
		head []byte // nil: deleted
	}{
		{"deleted", nil},
		{"empty", []byte{}},
		{"no JSON", []byte("{")},
		{"another run's", foreignHead(t, 5)},
		{"another run's, of a later term", foreignHead(t, 2, 5, 7)},
		{"another run's that has saved nothing", foreignHead(t)},
	} {
		for name, at := range map[string]int{"before the state": 4, "after the state": 5} {
			t.Run(c.name+" "+name, func(t *testing.T) {
				b := mem.New(nil)
				if err := Import(t.Context(), weights(t, &killedPut{Bucket: b, left: at})); !errors.Is(err, errKilled) {
					t.Fatal(err)
				}
				err := b.Delete(t.Context(), "runs/r/HEAD.json", blob.Any)
				if c.head != nil {
					_, err = blob.PutBytes(t.Context(), b, "runs/r/HEAD.json", c.head, blob.Any)
				}
				if err != nil {
					t.Fatal(err)
				}
				a := attempt(t, b, tiny(t))
				if !errors.Is(a.err, ErrUnfinishedImport) || !strings.Contains(a.err.Error(), "repeat the same `trmsweep import`") {
					t.Fatalf("train: %v", a.err)
				}
				v := verify(t, b)
				said := strings.Join(v.Faults, "\n")
				if v.OK || !strings.Contains(said, "theirs.safetensors") || strings.Contains(said, "delete") {
					t.Fatalf("verify: %v", v.Faults)
				}
				if err := Import(t.Context(), weights(t, b)); err != nil {
					t.Fatalf("again: %v", err)
				}
				a = attempt(t, b, tiny(t), oneStep)
				if a.err != nil || a.res.StateSHA256 != undisturbed.res.StateSHA256 {
					t.Fatalf("%+v %v", a.res, a.err)
				}
				if v := verify(t, b); !v.OK {
					t.Errorf("afterwards: %v", v.Faults)
				}
			})
		}
	}
}

// A run that was imported and trained is not made anew, and does not begin from the seed, if its checkpoints are gone.
func TestTrainedImportIsNotImportedAgain(t *testing.T) {
	b := mem.New(nil)
	if err := Import(t.Context(), weights(t, b)); err != nil {
		t.Fatal(err)
	}
	if a := attempt(t, b, tiny(t), func(o *Options) { o.MaxSteps = 5 }); a.err != nil {
		t.Fatal(a.err)
	}
	for attr, err := range b.List(t.Context(), "runs/r/ckpt/") {
		if err == nil {
			err = b.Delete(t.Context(), attr.Key, blob.Any)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, head := range [][]byte{nil, {}, foreignHead(t)} {
		if head != nil {
			if _, err := blob.PutBytes(t.Context(), b, "runs/r/HEAD.json", head, blob.Any); err != nil {
				t.Fatal(err)
			}
		}
		if err := Import(t.Context(), weights(t, b)); !errors.Is(err, checkpoint.ErrAllBad) {
			t.Errorf("import: %v", err)
		}
		if a := attempt(t, b, tiny(t)); !errors.Is(a.err, checkpoint.ErrAllBad) || !strings.Contains(a.err.Error(), "theirs.safetensors") {
			t.Errorf("train: %v", a.err)
		}
	}
}

// Two imports into one run, the first stopped before each of its writes while the second runs, or dies
// anywhere: the run is an import afterwards, or a finished one, and the one that lost says what happened.
func TestImportsOfOneRun(t *testing.T) {
	for _, key := range []string{"runs/r/import.json", "runs/r/HEAD.json", "runs/r/spec.json", "runs/r/ckpt/"} {
		for left := 1; left <= 6; left++ {
			b := mem.New(nil)
			var second error
			first := weights(t, &beforePut{Bucket: b, key: key, meanwhile: func() {
				o := weights(t, &killedPut{Bucket: b, left: left})
				o.From.File = "second.safetensors"
				o.Owner.Host = "second"
				second = Import(t.Context(), o)
			}})
			err := Import(t.Context(), first)
			both := err == nil && second == nil
			if both {
				t.Fatalf("before %s, write %d: both have made the run", key, left)
			}
			if err != nil {
				if !errors.Is(err, ErrRunExists) || !strings.Contains(err.Error(), "another process (second)") {
					t.Errorf("before %s, write %d: the first: %v", key, left, err)
				}
				if strings.Contains(err.Error(), "makes it anew") {
					t.Errorf("before %s, write %d: the first promises: %v", key, left, err)
				}
			}
			a := attempt(t, b, tiny(t), func(o *Options) { o.MaxSteps = 1 })
			made := err == nil || second == nil
			if made && a.err != nil {
				t.Errorf("before %s, write %d: it was made, and train says %v", key, left, a.err)
			}
			if !made && a.err == nil && verify(t, b).Imported == nil {
				t.Errorf("before %s, write %d: the run begins from its seed", key, left)
			}
		}
	}
}

// That a run was imported is in every later manifest and in its result, over every resume.
func TestImportIsRemembered(t *testing.T) {
	b := mem.New(nil)
	o := weights(t, b)
	if err := Import(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	for _, steps := range []int64{5, 11, 0} {
		if a := attempt(t, b, tiny(t, "keep_checkpoints=1"), func(o *Options) { o.MaxSteps = steps }); a.err != nil {
			t.Fatal(a.err)
		}
		v := verify(t, b)
		if !v.OK {
			t.Errorf("verify: %v", v.Faults)
		}
		if diff := cmp.Diff(&o.From, v.Imported); diff != "" {
			t.Errorf("verify: imported from (-want +got):\n%s", diff)
		}
	}
	r := result(t, b)
	if diff := cmp.Diff(&o.From, r.Imported); diff != "" {
		t.Errorf("result: imported from (-want +got):\n%s", diff)
	}
	if r := result(t, func() blob.Bucket { b := mem.New(nil); attempt(t, b, tiny(t)); return b }()); r.Imported != nil {
		t.Errorf("a run from its seed: %+v", r.Imported)
	}
}

// Import leaves alone what is there: a run, and one that somebody has just begun to train.
func TestImportMakesNewRunsOnly(t *testing.T) {
	for name, there := range map[string]func(*testing.T, *mem.Bucket) blob.Bucket{
		"a run": func(t *testing.T, b *mem.Bucket) blob.Bucket {
			if a := attempt(t, b, tiny(t), func(o *Options) { o.MaxSteps = 2 }); a.err != nil {
				t.Fatal(a.err)
			}
			return b
		},
		"a run that has saved nothing": func(t *testing.T, b *mem.Bucket) blob.Bucket { begun(t, b); return b },
		"a run that begins meanwhile": func(t *testing.T, b *mem.Bucket) blob.Bucket {
			return &beforePut{Bucket: b, key: "runs/r/HEAD.json", meanwhile: func() { begun(t, b) }}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := mem.New(nil)
			if err := Import(t.Context(), weights(t, there(t, b))); !errors.Is(err, ErrRunExists) {
				t.Fatal(err)
			}
			if a := attempt(t, b, tiny(t)); a.err != nil {
				t.Errorf("the run does not go on: %v", a.err)
			}
		})
	}
	t.Run("not finite", func(t *testing.T) {
		o := weights(t, mem.New(nil))
		o.State["param/lm_head.weight"] = tensor.Array{DType: tensor.F32, Shape: []int{1}, Data: []byte{0, 0, 0x80, 0x7f}}
		if err := Import(t.Context(), o); !errors.Is(err, ErrDiverged) {
			t.Error(err)
		}
	})
}

// beforePut does something just before the first write of a key that begins so.
type beforePut struct {
	blob.Bucket
	key       string
	meanwhile func()
}

func (b *beforePut) Put(ctx context.Context, key string, body io.ReaderAt, size, gen int64) (blob.Attr, error) {
	if meanwhile := b.meanwhile; meanwhile != nil && strings.HasPrefix(key, b.key) {
		b.meanwhile = nil
		meanwhile()
	}
	return b.Bucket.Put(ctx, key, body, size, gen)
}
