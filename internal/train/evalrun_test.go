package train

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"trmsweep/internal/blob"
	"trmsweep/internal/blob/mem"
	"trmsweep/internal/checkpoint"
	"trmsweep/internal/protocol"
)

func TestEvaluate(t *testing.T) {
	b := mem.New(nil)
	if a := attempt(t, b, tiny(t, "keep_checkpoints=1")); a.err != nil {
		t.Fatal(a.err)
	}
	before := head(t, b)
	r := result(t, b)
	eval := func(change func(*EvalOptions)) (Evaluation, error) {
		o := EvalOptions{Options: Options{Bucket: b, Run: "r", DataDir: dataDir(t), Backend: "cpu"}}
		change(&o)
		return Evaluate(t.Context(), o)
	}
	for name, tc := range map[string]struct {
		change func(*EvalOptions)
		want   protocol.Eval
	}{
		"newest is the final evaluation":        {func(*EvalOptions) {}, r.Final},
		"best is the best one's":                {func(o *EvalOptions) { o.At = "best" }, *r.BestFull},
		"a step is the checkpoint of that step": {func(o *EvalOptions) { o.At = "8" }, *r.BestFull},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := eval(tc.change)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got.Eval); diff != "" {
				t.Errorf("evaluation (-want +got):\n%s", diff)
			}
		})
	}
	got, err := eval(func(o *EvalOptions) { o.Steps, o.Puzzles = 1, 3 })
	if err != nil {
		t.Errorf("one supervision step on three puzzles: %v", err)
	}
	want := got
	want.MeanSteps, want.Puzzles = 1, 3
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("one supervision step on three puzzles (-want +got):\n%s", diff)
	}
	for name, tc := range map[string]struct {
		change func(*EvalOptions)
		want   error
	}{
		"unknown run":            {func(o *EvalOptions) { o.Run = "nobody" }, ErrNoRun},
		"step that is not kept":  {func(o *EvalOptions) { o.At = "3" }, ErrNoCheckpoint},
		"neither step nor name":  {func(o *EvalOptions) { o.At = "last" }, ErrNoCheckpoint},
		"told to stop meanwhile": {func(o *EvalOptions) { c := make(chan string, 1); c <- "signal"; o.Notice = c }, ErrPreempted},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := eval(tc.change); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
	t.Run("a state that is not finite", func(t *testing.T) {
		damaged := clone(t, b)
		w, err := checkpoint.Acquire(t.Context(), blob.Prefix(damaged, "runs/r/"), checkpoint.Owner{})
		if err != nil {
			t.Fatal(err)
		}
		ck, err := w.Restore(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"const/L_init", "param/lm_head.weight"} {
			copy(ck.State[name].Data, []byte{0, 0, 0xc0, 0x7f})
		}
		if _, err := w.Save(t.Context(), checkpoint.Snapshot{Step: 24, State: ck.State, Meta: ck.Manifest.Meta}); err != nil {
			t.Fatal(err)
		}
		_, err = eval(func(o *EvalOptions) { o.Bucket = damaged })
		if err == nil || !strings.Contains(err.Error(), "NaN or infinity in const/L_init, param/lm_head.weight") {
			t.Errorf("%v", err)
		}
	})
	after := head(t, b)
	unchanged := after
	unchanged.Term, unchanged.Generation = before.Term, before.Generation
	if diff := cmp.Diff(unchanged, after); diff != "" {
		t.Errorf("evaluating changed the run (-before +after):\n%s", diff)
	}
	var none checkpoint.Head
	if _, err := chooseEntry(none, "best"); !errors.Is(err, ErrNoCheckpoint) {
		t.Errorf("a run without checkpoints: %v", err)
	}
}

// The run deletes the checkpoint that is about to be evaluated: the next one is.
func TestEvaluateBesideTraining(t *testing.T) {
	b := mem.New(nil)
	train := func(steps int64) {
		if a := attempt(t, b, tiny(t, "keep_checkpoints=1"), func(o *Options) { o.MaxSteps = steps }); a.err != nil {
			t.Fatal(a.err)
		}
	}
	train(6)
	beside := &meanwhile{Bucket: b, do: func() { train(20) }}
	got, err := Evaluate(t.Context(), EvalOptions{Options: Options{Bucket: beside, Run: "r", DataDir: dataDir(t), Backend: "cpu"}})
	if err != nil || got.Step != 20 {
		t.Errorf("%+v, %v", got, err)
	}
}
