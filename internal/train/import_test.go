package train

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"

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
				if a := attempt(t, b, tiny(t)); !errors.Is(a.err, ErrUnfinishedImport) || !strings.Contains(a.err.Error(), "repeat the same `trmsweep import`") {
					t.Fatalf("write %d, lost %v: train: %v", at, lost, a.err)
				}
				if v := verify(t, b); v.OK || !strings.Contains(strings.Join(v.Faults, "\n"), "theirs.safetensors") {
					t.Fatalf("write %d, lost %v: verify: %v", at, lost, v.Faults)
				}
			}
			if err := Import(t.Context(), weights(t, b)); errors.Is(err, ErrRunExists) != done || err != nil && !done {
				t.Fatalf("write %d, lost %v, HEAD there %v: again: %v", at, lost, serr == nil, err)
			}
			a := attempt(t, b, tiny(t))
			if a.err != nil || a.res.StateSHA256 != undisturbed.res.StateSHA256 {
				t.Fatalf("write %d, lost %v: %+v %v", at, lost, a.res, a.err)
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
		if !v.OK || v.Imported == nil || *v.Imported != o.From {
			t.Errorf("verify: %+v, %v", v.Imported, v.Faults)
		}
	}
	r := result(t, b)
	if r.Imported == nil || *r.Imported != o.From {
		t.Errorf("result: %+v", r.Imported)
	}
	if r := result(t, func() blob.Bucket { b := mem.New(nil); attempt(t, b, tiny(t)); return b }()); r.Imported != nil {
		t.Errorf("a run from its seed: %+v", r.Imported)
	}
}

// Import leaves alone what is there: a run, and one that somebody has just begun to train.
func TestImportMakesNewRunsOnly(t *testing.T) {
	fresh := func(t *testing.T, b blob.Bucket) {
		if _, err := checkpoint.Acquire(t.Context(), blob.Prefix(b, "runs/r/"), checkpoint.Owner{}, checkpoint.WithLogger(slog.New(slog.DiscardHandler))); err != nil {
			t.Fatal(err)
		}
	}
	for name, there := range map[string]func(*testing.T, *mem.Bucket) blob.Bucket{
		"a run": func(t *testing.T, b *mem.Bucket) blob.Bucket {
			if a := attempt(t, b, tiny(t), func(o *Options) { o.MaxSteps = 2 }); a.err != nil {
				t.Fatal(a.err)
			}
			return b
		},
		"a run that has saved nothing": func(t *testing.T, b *mem.Bucket) blob.Bucket { fresh(t, b); return b },
		"a run that begins meanwhile": func(t *testing.T, b *mem.Bucket) blob.Bucket {
			return &beforePut{Bucket: b, key: "runs/r/HEAD.json", meanwhile: func() { fresh(t, b) }}
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

// beforePut does something just before the first write of a key.
type beforePut struct {
	blob.Bucket
	key       string
	meanwhile func()
}

func (b *beforePut) Put(ctx context.Context, key string, body io.ReaderAt, size, gen int64) (blob.Attr, error) {
	if key == b.key && b.meanwhile != nil {
		b.meanwhile()
		b.meanwhile = nil
	}
	return b.Bucket.Put(ctx, key, body, size, gen)
}
