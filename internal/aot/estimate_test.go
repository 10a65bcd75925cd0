package aot

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"trmsweep/internal/experiment"
)

// job is a small experiment without programs of its own: 100 steps, and 3 evaluations of 2 batches of 4 supervision steps.
func job(shards int) Job {
	s := experiment.Spec{
		Name: "small", HiddenSize: 64, NumHeads: 1, LLayers: 1, HCycles: 1, LCycles: 1, Expansion: 4, MLPT: true, PuzzleEmbNDim: 64,
		HaltMaxSteps: 4,
		ForwardDType: "bfloat16", EMA: true, GlobalBatchSize: 64, DataPuzzles: 640, DataTestPuzzles: 100, Epochs: 10, EvalIntervalEpochs: 5,
		EvalPuzzles: 50, FinalEvalPuzzles: 50, EvalBatchSize: 32, GradientShards: shards,
	}
	j := Job{Spec: s,
		Programs: map[string]Program{gradients: {Code: []byte("g")}, apply: {Code: []byte("a")}, evaluate: {Code: []byte("e")}}}
	if shards > 1 {
		j.Programs[addGradients] = Program{Code: []byte("s")}
	}
	return j
}

func v4(t *testing.T) Topology {
	t.Helper()
	topology, err := ParseTopology("v4:2x2x1")
	if err != nil {
		t.Fatal(err)
	}
	return topology
}

func TestEstimateIsTheRoofline(t *testing.T) {
	peak, bandwidth := 275e12, 1200e9
	for name, tc := range map[string]struct {
		shards      int
		gradientsIs Compiled
		bound       string
		step        float64 // seconds, without the optimizers' 1 ms
	}{
		"by bytes": {1, Compiled{FLOPs: 0.005 * peak, BytesAccessed: 0.017 * bandwidth}, BoundBytes, 0.017},
		"by flop":  {1, Compiled{FLOPs: 0.02 * peak, BytesAccessed: 0.002 * bandwidth}, BoundFLOP, 0.02},
		"shards":   {4, Compiled{FLOPs: 0.005 * peak, BytesAccessed: 0.017 * bandwidth}, BoundBytes, 4*0.017 + 3*0.002},
	} {
		t.Run(name, func(t *testing.T) {
			tc.gradientsIs.Seconds = 50
			e := estimate(job(tc.shards), v4(t), "libtpu", map[string]Compiled{
				gradients:    tc.gradientsIs,
				addGradients: {BytesAccessed: 0.002 * bandwidth},
				apply:        {Seconds: 1, BytesAccessed: 0.001 * bandwidth},
				evaluate:     {Seconds: 20, BytesAccessed: 0.01 * bandwidth},
			})
			step := tc.step + 0.001
			hours := (100*step + 3*2*4*0.01) / 3600
			near := func(got, want float64) bool { return math.Abs(got-want) <= 1e-9*want }
			type facts struct {
				Fits           bool
				Bound          string
				CompileSeconds float64
				Problem        string
			}
			want := facts{Fits: true, Bound: tc.bound, CompileSeconds: 71}
			if diff := cmp.Diff(want, facts{e.Fits, e.Bound, e.CompileSeconds, e.Problem()}); diff != "" {
				t.Errorf("the estimate (-want +got):\n%s", diff)
			}
			if !near(e.StepSeconds, step) || !near(e.Hours, hours) {
				t.Errorf("%v s a step, %v h; want %v s, %v h", e.StepSeconds, e.Hours, step, hours)
			}
		})
	}
}

func TestEstimateOfMemory(t *testing.T) {
	j := job(1)
	weights := 4 * j.Spec.Params()
	carry := int64(64 * (2*(81+j.Spec.PuzzleEmbPositions())*64*2 + 2*81 + 4 + 1 + 4)) // of 64 rows, in bfloat16
	state := 4*weights + 4*(64+2*64) + carry
	none := map[string]int64{gradients: 3 * weights, apply: state + carry - 4*weights, evaluate: state + carry - weights}
	for name, rest := range none {
		t.Run(name, func(t *testing.T) { needs(t, j, name, rest) })
	}
	four := map[string]int64{
		gradients:    3*weights + 2*carry*3/4 + 2*weights, // the carries of three shards, and two sums
		addGradients: state + carry + weights,             // the sum that is not added to
		apply:        state + carry - 4*weights,
		evaluate:     state + carry - weights,
	}
	for name, rest := range four {
		t.Run("4 shards "+name, func(t *testing.T) { needs(t, job(4), name, rest) })
	}
}

// needs is an estimate in which one program needs most: the rest of the state lies beside it.
func needs(t *testing.T, j Job, name string, rest int64) {
	t.Helper()
	compiled := map[string]Compiled{gradients: {Code: 1}, apply: {Code: 2}, evaluate: {Code: 4}}
	c := compiled[name]
	c.Arguments = 1 << 30
	c.Outputs = 1 << 29
	c.Aliases = 1 << 28
	c.Temporary = 1 << 27
	compiled[name] = c
	want := rest + 7 + 1<<30 + 1<<29 - 1<<28 + 1<<27
	if e := estimate(j, v4(t), "libtpu", compiled); e.HBMNeeded != want || !e.Fits || e.HBMAvailable != gib(30.75) {
		t.Errorf("needs %d of %d, want %d", e.HBMNeeded, e.HBMAvailable, want)
	}
}

func TestEstimateOfWhatDoesNotFit(t *testing.T) {
	for name, tc := range map[string]struct {
		compiled map[string]Compiled
		want     []string
	}{
		"refused": {map[string]Compiled{gradients: {Refused: &TooBig{Need: gib(36.63), Have: gib(15.25)}}},
			[]string{`"gradients" at 64 rows`, "36.63 GiB", "15.25 GiB"}},
		"together": {map[string]Compiled{gradients: {}, apply: {Temporary: gib(30), Arguments: gib(2)}, evaluate: {}},
			[]string{`"apply" at 64 rows`, "32.00 GiB", "30.75 GiB"}},
	} {
		t.Run(name, func(t *testing.T) {
			e := estimate(job(1), v4(t), "libtpu", tc.compiled)
			for _, want := range tc.want {
				if e.Fits || !strings.Contains(e.Problem(), want) {
					t.Errorf("fits %v, problem %q; want %q in it", e.Fits, e.Problem(), want)
				}
			}
			if e.Hours != 0 {
				t.Errorf("%v hours of what does not run", e.Hours)
			}
		})
	}
}
