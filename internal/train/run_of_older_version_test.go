package train

import (
	"io/fs"
	"os"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"

	"trmsweep/configs"
	"trmsweep/internal/blob"
	"trmsweep/internal/blob/mem"
	"trmsweep/internal/experiment"
	"trmsweep/internal/protocol"
	"trmsweep/internal/report"
)

// testdata/c500883 is the runs/ folder of a store in which commit c500883, whose specs have hash format 1, trained the
// spec below up to step 8 of 16 on the backend "go", on amd64, with --max-steps 8. oldRun is the name that it gave the
// run, oldState the state_sha256 that it reached at step 16 without a stop.
const (
	oldRun   = "f94cbb3bdcb2b312-s42"
	oldState = "538683b5b615846d03b77153b4803251cda8ec173da61ae4d95b4b36b465215e"
)

func oldStore(t *testing.T) (blob.Bucket, experiment.Spec) {
	t.Helper()
	s, err := experiment.Resolve(configs.FS, "e2_3_attention", "smoke", []string{
		"hidden_size=8", "num_heads=1", "puzzle_emb_ndim=8", "puzzle_emb_len=1", "expansion=1", "l_layers=1",
		"h_cycles=2", "l_cycles=1", "halt_max_steps=3", "global_batch_size=4",
		"data_source=generate:nearly-solved", "data_puzzles=8", "data_augmentations=2", "data_test_puzzles=6", "epochs=8",
		"eval_interval_epochs=4", "eval_batch_size=4", "eval_puzzles=5", "final_eval_puzzles=0", "checkpoint_every_steps=4", "keep_checkpoints=1",
		"lr_warmup_steps=2",
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	b := mem.New(nil)
	folder := os.DirFS("testdata/c500883")
	err = fs.WalkDir(folder, ".", func(key string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(folder, key)
		if err != nil {
			return err
		}
		_, err = blob.PutBytes(t.Context(), b, key, data, blob.Absent)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b, s
}

// A run that an older version began, and that its hash named differently, is found by its spec, goes on under its old
// name with the same bits, and is finished for whoever asks again, for `verify` and for a report.
func TestRunOfAnOlderVersionGoesOn(t *testing.T) {
	b, s := oldStore(t)
	unnamed := func(o *Options) {
		o.Run = ""
		o.DataDir = ""
		o.CacheDir = t.TempDir()
		o.Backend = "go"
	}
	a := attempt(t, b, s, unnamed)
	if a.err != nil {
		t.Fatal(a.err)
	}
	want := a.res
	want.Run, want.RestoredFromStep, want.Finished = oldRun, 8, true
	if diff := cmp.Diff(want, a.res); diff != "" {
		t.Errorf("result of the attempt (-want +got):\n%s", diff)
	}
	if runtime.GOARCH == "amd64" && a.res.StateSHA256 != oldState {
		t.Errorf("state %s, want %s as c500883 computed it", a.res.StateSHA256, oldState)
	}
	for attr, err := range b.List(t.Context(), "runs/"+s.RunName()) {
		t.Errorf("%s, %v: there is a second run", attr.Key, err)
	}

	again := attempt(t, b, s, unnamed)
	if again.err != nil {
		t.Errorf("asked again: %v", again.err)
	}
	want = again.res
	want.Run, want.RestoredFromStep, want.StateSHA256 = oldRun, 16, a.res.StateSHA256
	if diff := cmp.Diff(want, again.res); diff != "" {
		t.Errorf("asked again (-want +got):\n%s", diff)
	}
	v, err := Verify(t.Context(), VerifyOptions{Bucket: b, Run: oldRun, CacheDir: t.TempDir()})
	if err != nil || len(v.Faults) > 0 {
		t.Errorf("verify: %v, faults %v", err, v.Faults)
	}
	entries, err := report.ReadEntries(t.Context(), b, []experiment.Spec{s})
	if err != nil || entries[0].Result == nil || entries[0].Result.Run != oldRun {
		t.Errorf("the report's entry is %+v, %v, want the result of %s", entries, err, oldRun)
	}
	if _, err := protocol.ReadResult(t.Context(), b, protocol.Identity{Run: oldRun}); err != nil {
		t.Errorf("the result by the run's name: %v", err)
	}
}

// With other settings it is another run, also when it is asked for by the old name.
func TestRunOfAnOlderVersionWithOtherSettings(t *testing.T) {
	b, s := oldStore(t)
	s.LR *= 2
	a := attempt(t, b, s, func(o *Options) { o.Run, o.Backend = oldRun, "go" })
	if a.err == nil {
		t.Fatal("trained on with another learning rate")
	}
	t.Log(a.err)
	a = attempt(t, b, s, func(o *Options) { o.Run, o.Backend, o.MaxSteps = "", "go", 1 })
	if a.err != nil || a.res.Run != s.RunName() {
		t.Errorf("run %s, %v, want a new one, %s", a.res.Run, a.err, s.RunName())
	}
}
