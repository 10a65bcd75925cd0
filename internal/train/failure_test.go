package train

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"trmsweep/internal/blob"
	"trmsweep/internal/blob/mem"
	"trmsweep/internal/checkpoint"
	"trmsweep/internal/dataset"
	"trmsweep/internal/experiment"
	"trmsweep/internal/protocol"
	"trmsweep/internal/tensor"
)

func TestDivergenceIsFinalAndNamesTheLastGoodCheckpoint(t *testing.T) {
	for _, c := range []struct {
		name string
		sets []string
		says string
		good int64
	}{
		{"at once", []string{"lr=1e37", "lr_warmup_steps=0"}, "nothing was committed", 0},
		{"after a commit", []string{"lr=1e36", "lr_warmup_steps=24", "checkpoint_every_steps=1"}, "step 1", 1},
		{"an update that is not finite", []string{"lr=1e39", "lr_warmup_steps=0", "checkpoint_every_steps=1"}, "nothing was committed", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := mem.New(nil)
			a := attempt(t, b, tiny(t, c.sets...))
			if !errors.Is(a.err, ErrDiverged) || !strings.Contains(a.err.Error(), c.says) {
				t.Fatalf("want divergence and %q, got %v", c.says, a.err)
			}
			h := head(t, b)
			if e, ok := newestGood(h); ok != (c.good > 0) || e.Step != c.good {
				t.Errorf("checkpoints %+v", h.Entries)
			}
			if a.res.Total != 24 || a.res.CommittedStep != c.good {
				t.Errorf("the last line would say step %d of %d, committed %d", a.res.Step, a.res.Total, a.res.CommittedStep)
			}
			if _, err := b.Stat(t.Context(), "runs/r/result.json"); !errors.Is(err, blob.ErrNotExist) {
				t.Errorf("a diverged run has a result: %v", err)
			}
		})
	}
}

func TestStatesThatAreNotFinite(t *testing.T) {
	f32 := func(v float32) tensor.State {
		return tensor.State{"param/w": {DType: tensor.F32, Shape: []int{2},
			Data: binary.LittleEndian.AppendUint32(make([]byte, 4), math.Float32bits(v))}}
	}
	bf16 := func(v float32) tensor.State {
		return tensor.State{"carry/z": {DType: tensor.BF16, Shape: []int{2},
			Data: binary.LittleEndian.AppendUint16(make([]byte, 2), uint16(math.Float32bits(v)>>16))}}
	}
	for _, v := range []float32{0, -1.5, math.MaxFloat32, 1e-44, 255, -math.MaxFloat32} {
		if err := errors.Join(finite(f32(v)), finite(bf16(v))); err != nil {
			t.Errorf("%v: %v", v, err)
		}
	}
	for _, v := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))} {
		for _, s := range []tensor.State{f32(v), bf16(v)} {
			if err := finite(s); !errors.Is(err, ErrDiverged) || !strings.Contains(err.Error(), s.Names()[0]) {
				t.Errorf("%v: %v", v, err)
			}
		}
	}
	both := f32(float32(math.NaN()))
	both["carry/z"] = bf16(float32(math.Inf(1)))["carry/z"]
	if err := finite(both); err == nil || !strings.Contains(err.Error(), "carry/z, param/w") {
		t.Errorf("not all are named: %v", err)
	}
}

// Whoever asks for something else by the name of a run is told so, and the run's owner is left alone.
func TestMismatch(t *testing.T) {
	b := mem.New(nil)
	if a := attempt(t, b, tiny(t), func(o *Options) { o.MaxSteps = 3 }); a.err != nil {
		t.Fatal(a.err)
	}
	before := head(t, b)
	other := t.TempDir() + "/data"
	opts := dataset.OptionsOf(tiny(t))
	opts.Seed++
	if _, err := dataset.Build(t.Context(), opts, other, nil); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*Options)
		says   string
	}{
		"spec": {func(o *Options) { o.Spec = tiny(t, "lr=0.02", "ema_rate=0.9") },
			"started with lr=0.01 and is now asked for 0.02, with puzzle_emb_lr=0.01 and is now asked for 0.02, " +
				"with ema_rate=0.95 and is now asked for 0.9;"},
		"seed":    {func(o *Options) { o.Spec = tiny(t, "seed=7", "keep_checkpoints=2") }, "started with seed=42 and is now asked for 7;"},
		"dataset": {func(o *Options) { o.DataDir = other }, "started on dataset"},
	} {
		t.Run(name, func(t *testing.T) {
			a := attempt(t, b, tiny(t), c.change)
			if !errors.Is(a.err, ErrMismatch) || !strings.Contains(a.err.Error(), "another --run") || !strings.Contains(a.err.Error(), c.says) {
				t.Fatal(a.err)
			}
			if a.res.Total != 24 || a.res.CommittedStep != 3 {
				t.Errorf("of %d steps, %d committed", a.res.Total, a.res.CommittedStep)
			}
			if diff := cmp.Diff(before, head(t, b)); diff != "" {
				t.Errorf("HEAD was changed (-before +after):\n%s", diff)
			}
		})
	}
	same(t, b, attempt(t, b, tiny(t, "keep_checkpoints=2"))) // operation, not content
}

// The owner is left alone also where the newest manifest, or HEAD.json, is damaged.
func TestMismatchBesideDamage(t *testing.T) {
	for name, damaged := range map[string]func(checkpoint.Head) string{
		"manifest": func(h checkpoint.Head) string { return h.Entries[len(h.Entries)-1].Manifest },
		"HEAD":     func(checkpoint.Head) string { return "HEAD.json" },
	} {
		t.Run(name, func(t *testing.T) {
			b := mem.New(nil)
			if a := attempt(t, b, tiny(t), func(o *Options) { o.MaxSteps = 7 }); a.err != nil {
				t.Fatal(a.err)
			}
			b.Tamper("runs/r/"+damaged(head(t, b)), func([]byte) []byte { return nil })
			before, err := b.Stat(t.Context(), "runs/r/HEAD.json")
			if err != nil {
				t.Fatal(err)
			}
			if a := attempt(t, b, tiny(t, "lr=0.02")); !errors.Is(a.err, ErrMismatch) {
				t.Error(a.err)
			}
			if after, err := b.Stat(t.Context(), "runs/r/HEAD.json"); err != nil || after.Generation != before.Generation {
				t.Errorf("HEAD.json was changed: %+v, %v", after, err)
			}
			same(t, b, attempt(t, b, tiny(t)))
		})
	}
}

// A HEAD.json that is an older copy, or another run's, costs nothing; verify names it before and is content after.
func TestWrongHeadCostsNothing(t *testing.T) {
	other := mem.New(nil)
	if a := attempt(t, other, tiny(t), func(o *Options) { o.MaxSteps = 6 }); a.err != nil {
		t.Fatal(a.err)
	}
	for _, name := range []string{"older", "other"} {
		t.Run(name, func(t *testing.T) {
			b := mem.New(nil)
			from := other
			for _, steps := range []int64{5, 20} {
				if a := attempt(t, b, tiny(t, "keep_checkpoints=1"), func(o *Options) { o.MaxSteps = steps }); a.err != nil {
					t.Fatal(a.err)
				}
				if name == "older" && steps == 5 {
					from = clone(t, b)
				}
			}
			text, _, err := blob.ReadAll(t.Context(), from, "runs/r/HEAD.json", 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := blob.PutBytes(t.Context(), b, "runs/r/HEAD.json", text, blob.Any); err != nil {
				t.Fatal(err)
			}
			v := verify(t, b)
			want := v
			want.OK, want.Step, want.Orphans = false, 20, nil
			if diff := cmp.Diff(want, v, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("verification (-want +got):\n%s", diff)
			}
			if faults := strings.Join(v.Faults, "\n"); !strings.Contains(faults, "next attempt makes it anew") {
				t.Errorf("faults %s", faults)
			}
			a := attempt(t, b, tiny(t, "keep_checkpoints=1"))
			same(t, b, a)
			if v := verify(t, b); !v.OK || a.res.RestoredFromStep != 20 {
				t.Errorf("restored from %d; %v", a.res.RestoredFromStep, v.Faults)
			}
		})
	}
}

// A finished run whose last checkpoint is destroyed is trained to its end again from an older one.
func TestFinishedRunIsMended(t *testing.T) {
	b := mem.New(nil)
	if a := attempt(t, b, tiny(t)); a.err != nil {
		t.Fatal(a.err)
	}
	e, _ := newestGood(head(t, b))
	b.Tamper("runs/r/"+strings.Replace(e.Manifest, "MANIFEST.json", "rank-00000-of-00001.safetensors", 1), func([]byte) []byte { return nil })
	a := attempt(t, b, tiny(t))
	same(t, b, a)
	if v := verify(t, b); !v.OK || a.res.RestoredFromStep == 24 || len(a.of(protocol.EventStorage)) == 0 {
		t.Errorf("from step %d, said %+v; %v", a.res.RestoredFromStep, a.of(protocol.EventStorage), v.Faults)
	}
}

// spec.json is written again where it is lost, damaged or another run's: by an attempt that goes on, and by one that finds the run
// finished.
func TestSpecIsWrittenAgain(t *testing.T) {
	const key = "runs/r/spec.json"
	other, err := json.Marshal(tiny(t, "lr=0.02"))
	if err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string]func(*mem.Bucket) error{
		"lost": func(b *mem.Bucket) error { return b.Delete(t.Context(), key, blob.Any) },
		"flipped": func(b *mem.Bucket) error {
			b.Tamper(key, func(d []byte) []byte { d[len(d)/2] ^= 4; return d })
			return nil
		},
		"cut": func(b *mem.Bucket) error {
			_, err := blob.PutBytes(t.Context(), b, key, []byte(`{"name":`), blob.Any)
			return err
		},
		"another run's": func(b *mem.Bucket) error {
			_, err := blob.PutBytes(t.Context(), b, key, other, blob.Any)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := mem.New(nil)
			if a := attempt(t, b, tiny(t), func(o *Options) { o.MaxSteps = 20 }); a.err != nil {
				t.Fatal(a.err)
			}
			for range 2 { // in the middle, and at the end
				if err := damage(b); err != nil {
					t.Fatal(err)
				}
				if v := verify(t, b); v.OK || !strings.Contains(strings.Join(v.Faults, "\n"), "writes") {
					t.Errorf("%v", v.Faults)
				}
				same(t, b, attempt(t, b, tiny(t)))
				if v := verify(t, b); !v.OK {
					t.Errorf("%v", v.Faults)
				}
			}
		})
	}
}

func TestUserErrors(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"spec":    func(o *Options) { o.Spec.HiddenSize = 0 },
		"backend": func(o *Options) { o.Backend = "abacus" },
		"data":    func(o *Options) { o.DataDir = t.TempDir() },
	} {
		t.Run(name, func(t *testing.T) {
			if a := attempt(t, mem.New(nil), tiny(t), change); !IsUserError(a.err) {
				t.Fatalf("not said to be the user's: %v", a.err)
			}
		})
	}
	if IsUserError(errDead) || IsUserError(ErrDiverged) || IsUserError(nil) {
		t.Error("errors that are not the user's")
	}
}

func TestEveryCheckpointBadIsFinal(t *testing.T) {
	b := mem.New(nil)
	if a := attempt(t, b, tiny(t), func(o *Options) { o.MaxSteps = 4 }); a.err != nil {
		t.Fatal(a.err)
	}
	for a, err := range b.List(t.Context(), "runs/r/ckpt/") {
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(a.Key, ".safetensors") {
			b.Tamper(a.Key, func(d []byte) []byte { d[len(d)/2] ^= 1; return d })
		}
	}
	if a := attempt(t, b, tiny(t)); !errors.Is(a.err, checkpoint.ErrAllBad) || a.res.Step != 0 {
		t.Fatalf("%+v %v", a.res, a.err)
	}
}

// A damaged newest checkpoint costs the steps since the one before it, and nothing else.
func TestOlderCheckpointIsUsed(t *testing.T) {
	b := mem.New(nil)
	if a := attempt(t, b, tiny(t), func(o *Options) { o.MaxSteps = 13 }); a.err != nil {
		t.Fatal(a.err)
	}
	e, _ := newestGood(head(t, b))
	b.Tamper("runs/r/"+strings.Replace(e.Manifest, "MANIFEST.json", "rank-00000-of-00001.safetensors", 1),
		func(d []byte) []byte { return d[:len(d)-1] })
	a := attempt(t, b, tiny(t))
	same(t, b, a)
	if a.res.RestoredFromStep >= 13 || len(a.of(protocol.EventStorage)) == 0 {
		t.Errorf("from step %d, said %+v", a.res.RestoredFromStep, a.of(protocol.EventStorage))
	}
}

// An attempt whose run was taken stops by itself: at its next save, and where none is due.
func TestZombieStops(t *testing.T) {
	for name, spec := range map[string]experiment.Spec{
		"at a save":     tiny(t),
		"between saves": tiny(t, "epochs=20000", "eval_interval_epochs=20000", "checkpoint_every_steps=100000"),
	} {
		t.Run(name, func(t *testing.T) {
			b := mem.New(nil)
			once := sync.Once{}
			a := attempt(t, b, spec, func(o *Options) {
				o.CheckEvery = time.Millisecond
				if name == "at a save" {
					o.CheckEvery = time.Hour
				}
				record := o.Events
				o.Events = func(e protocol.Event) {
					record(e)
					if e.Step == 4 {
						once.Do(func() {
							if _, err := checkpoint.Acquire(t.Context(), blob.Prefix(b, "runs/r/"), checkpoint.Owner{Host: "successor"}); err != nil {
								t.Error(err)
							}
						})
					}
				}
			})
			if !errors.Is(a.err, checkpoint.ErrFenced) || !strings.Contains(a.err.Error(), "successor") {
				t.Fatalf("%+v %v", a.res, a.err)
			}
			if a.res.Step >= spec.TotalSteps() {
				t.Error("it trained to the end")
			}
			if h := head(t, b); h.Owner.Host != "successor" {
				t.Errorf("HEAD %+v", h)
			}
		})
	}
}
