package train

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"trmsweep/configs"
	"trmsweep/internal/blob"
	"trmsweep/internal/blob/mem"
	"trmsweep/internal/checkpoint"
	"trmsweep/internal/dataset"
	"trmsweep/internal/experiment"
	"trmsweep/internal/protocol"
)

// tiny is a whole run of 24 steps with three evaluations that takes well under a second.
func tiny(t testing.TB, sets ...string) experiment.Spec {
	t.Helper()
	s, err := experiment.Resolve(configs.FS, "e2_2_t2_n2", "smoke", append([]string{
		"hidden_size=16", "num_heads=2", "puzzle_emb_ndim=16", "puzzle_emb_len=1", "expansion=1", "l_layers=1",
		"h_cycles=1", "l_cycles=1", "halt_max_steps=3", "halt_exploration_prob=0.5", "global_batch_size=2",
		"data_source=generate", "data_puzzles=8", "data_augmentations=2", "data_test_puzzles=6", "epochs=6", "eval_interval_epochs=2",
		"eval_batch_size=4", "eval_puzzles=5", "final_eval_puzzles=0", "checkpoint_every_steps=3", "log_every_steps=4", "lr_warmup_steps=2",
		"lr=0.01",
	}, sets...), nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var data struct {
	once sync.Once
	dir  string
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if data.dir != "" {
		os.RemoveAll(filepath.Dir(data.dir))
	}
	os.Exit(code)
}

// dataDir is a dataset folder for tiny specs, built once.
func dataDir(t testing.TB) string {
	t.Helper()
	data.once.Do(func() {
		var dir string
		if dir, data.err = os.MkdirTemp("", "trmsweep-train"); data.err != nil {
			return
		}
		data.dir = filepath.Join(dir, "data")
		_, data.err = dataset.Build(context.Background(), dataset.OptionsOf(tiny(t)), data.dir, nil)
	})
	if data.err != nil {
		t.Fatal(data.err)
	}
	return data.dir
}

// clock moves on by a second at every look, so that saves are never too close together.
func clock() func() time.Time {
	var n atomic.Int64
	return func() time.Time { return time.Unix(1_700_000_000+n.Add(1), 0) }
}

// tried is one attempt: its options, and what it said.
type tried struct {
	mu     sync.Mutex
	events []protocol.Event
	res    protocol.AttemptResult
	err    error
}

func (a *tried) of(kind string) (out []protocol.Event) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, e := range a.events {
		if e.Type == kind {
			out = append(out, e)
		}
	}
	return out
}

func attempt(t testing.TB, b blob.Bucket, spec experiment.Spec, change ...func(*Options)) *tried {
	t.Helper()
	return attemptIn(t.Context(), t, b, spec, change...)
}

func attemptIn(ctx context.Context, t testing.TB, b blob.Bucket, spec experiment.Spec, change ...func(*Options)) *tried {
	t.Helper()
	a := &tried{}
	o := Options{
		Spec: spec, Bucket: b, Run: "r", DataDir: dataDir(t), Backend: "cpu", Now: clock(), Patience: time.Millisecond,
		Logger: slog.New(slog.DiscardHandler),
		Events: func(e protocol.Event) { a.mu.Lock(); a.events = append(a.events, e); a.mu.Unlock() },
	}
	for _, c := range change {
		c(&o)
	}
	a.res, a.err = Run(ctx, o)
	return a
}

// trace is the committed metrics log of a run.
func trace(t testing.TB, b blob.Bucket) string {
	t.Helper()
	runs := blob.Prefix(b, "runs/r/")
	r, err := checkpoint.Verify(t.Context(), runs)
	if err != nil || !r.OK || r.Newest == nil {
		t.Fatalf("verify: %+v %v", r, err)
	}
	text, err := checkpoint.ReadMetrics(t.Context(), runs, *r.Newest)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// undisturbed is the run that every other one is compared with: its result, its log and its result.json.
type undisturbed struct {
	res    protocol.AttemptResult
	trace  string
	result protocol.RunResult
}

var reference *undisturbed

func want(t testing.TB) *undisturbed {
	t.Helper()
	if reference == nil {
		b := mem.New(nil)
		a := attempt(t, b, tiny(t))
		if a.err != nil {
			t.Fatal(a.err)
		}
		reference = &undisturbed{a.res, trace(t, b), result(t, b)}
	}
	return reference
}

func result(t testing.TB, b blob.Bucket) protocol.RunResult {
	t.Helper()
	text, _, err := blob.ReadAll(t.Context(), b, "runs/r/result.json", 0)
	if err != nil {
		t.Fatal(err)
	}
	r, err := protocol.DecodeResult(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// same compares a finished run with the undisturbed one.
func same(t testing.TB, b blob.Bucket, a *tried) {
	t.Helper()
	u := want(t)
	if a.err != nil {
		t.Fatal(a.err)
	}
	got := a.res
	got.RestoredFromStep = u.res.RestoredFromStep
	if diff := cmp.Diff(u.res, got); diff != "" {
		t.Errorf("result (-undisturbed +got):\n%s", diff)
	}
	if text := trace(t, b); text != u.trace {
		t.Errorf("log\n%s\nundisturbed\n%s", text, u.trace)
	}
	r := result(t, b)
	w := u.result
	r.Spec = w.Spec
	r.GoodputSeconds = w.GoodputSeconds
	r.WallSeconds = w.WallSeconds
	r.Preemptions = w.Preemptions
	if diff := cmp.Diff(w, r); diff != "" {
		t.Errorf("result.json (-undisturbed +got):\n%s", diff)
	}
}

func head(t testing.TB, b blob.Bucket) checkpoint.Head {
	t.Helper()
	h, err := checkpoint.ReadHead(t.Context(), blob.Prefix(b, "runs/r/"))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestFreshRun(t *testing.T) {
	b := mem.New(nil)
	a := attempt(t, b, tiny(t, "keep_checkpoints=1"))
	same(t, b, a)
	wantRes := a.res
	wantRes.Step = 24
	wantRes.Total = 24
	wantRes.Finished = true
	wantRes.Result = "runs/r/result.json"
	if diff := cmp.Diff(wantRes, a.res); diff != "" {
		t.Errorf("result of the attempt (-want +got):\n%s", diff)
	}
	var steps, evals []int64
	for line := range strings.Lines(trace(t, b)) {
		var rec struct {
			Step int64
			Loss float64
			Eval *protocol.Eval
		}
		if err := json.Unmarshal([]byte(line), &rec); err != nil {
			t.Fatal(err)
		}
		if rec.Eval != nil {
			evals = append(evals, rec.Step)
			continue
		}
		steps = append(steps, rec.Step)
	}
	for i, s := range steps {
		if s != int64(i+1) {
			t.Fatalf("steps of the log: %v", steps)
		}
	}
	if len(steps) != 24 || !slices.Equal(evals, []int64{8, 16, 24}) {
		t.Errorf("%d steps, evaluations %v", len(steps), evals)
	}
	r := result(t, b)
	type summary struct {
		State                        string
		Steps                        int64
		FinalPuzzles, Evals, InCurve int
	}
	got := summary{r.StateSHA256, r.Steps, r.Final.Puzzles, len(r.Evals), len(r.Curve)}
	if diff := cmp.Diff(summary{State: a.res.StateSHA256, Steps: 24, FinalPuzzles: 6, Evals: 3, InCurve: 24}, got); diff != "" {
		t.Errorf("result.json (-want +got):\n%s", diff)
	}
	if want := tiny(t).EstimatedHours(experiment.V4Chip); r.PredictedHours != want || want <= 0 {
		t.Errorf("predicted %g hours, the plan says %g", r.PredictedHours, want)
	}
	// Nothing is ever exactly right in so short a run, so that the first evaluation stays the best one.
	h := head(t, b)
	if len(h.Entries) != 2 || r.BestFull == nil {
		t.Fatalf("%d checkpoints, want the best one and the last one; evaluation of the best one: %v", len(h.Entries), r.BestFull)
	}
	best, last, bestFull := h.Entries[0], h.Entries[1], *r.BestFull
	best.Step, best.Best, last.Final = 8, true, true
	if diff := cmp.Diff([]checkpoint.Entry{best, last}, h.Entries); diff != "" {
		t.Errorf("checkpoints that are kept (-want +got):\n%s", diff)
	}
	bestFull.Step, bestFull.Puzzles = 8, 6
	if diff := cmp.Diff(bestFull, *r.BestFull); diff != "" {
		t.Errorf("evaluation of the best checkpoint (-want +got):\n%s", diff)
	}
}

func TestFinishedRunIsLeftAlone(t *testing.T) {
	b := mem.New(nil)
	if a := attempt(t, b, tiny(t)); a.err != nil {
		t.Fatal(a.err)
	}
	before := head(t, b)
	a := attempt(t, b, tiny(t), func(o *Options) { o.Backend = "there is none" }) // not even asked for
	same(t, b, a)
	if a.res.RestoredFromStep != 24 {
		t.Errorf("restored from step %d, want 24", a.res.RestoredFromStep)
	}
	if diff := cmp.Diff(before, head(t, b)); diff != "" {
		t.Errorf("HEAD (-before +after):\n%s", diff)
	}
	same(t, b, attempt(t, b, tiny(t), func(o *Options) { o.Force = true }))
}
