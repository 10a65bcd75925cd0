package trm

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"trmsweep/internal/backend/backendtest"
	"trmsweep/internal/tensor"
)

// wholeRun trains on one backend from fresh weights and returns the loss of every step, the weights at the end and an evaluation of them.
func wholeRun(t *testing.T, name string, c Config, steps int) (curve []float64, state tensor.State, rows EvalRows) {
	t.Helper()
	m := freshModel(t, backendtest.Open(t, name), c)
	defer m.Close()
	in := tinyBatch(c)
	for s := range steps {
		in.Step, in.LR = int64(s+1), 3e-3*min(1, float64(s+1)/20)
		in.PuzzleEmbLR = in.LR
		res, err := m.Step(in)
		if err != nil || !res.Finite {
			t.Fatalf("%s, step %d: loss %v, %v", name, s+1, res.Loss, err)
		}
		curve = append(curve, lastMetrics(t, m).LMLoss)
	}
	rows, err := m.Eval(in.Inputs, in.Labels, in.PuzzleIDs)
	if err != nil {
		t.Fatal(err)
	}
	return curve, mustSnapshot(t, m), rows
}

// TestBackendsAgreeOnAWholeRun trains on every backend until the batch is known by heart. Rounding differs from the first product on and
// grows: start weights that are changed by one unit in the last place end 2e-6 apart on the same backend, and sometimes, where a gradient
// passes zero, 1e-4. The state may be ten times that apart, the losses are nearer.
func TestBackendsAgreeOnAWholeRun(t *testing.T) {
	const steps, bound, stateBound = 60, 1e-5, 1e-3
	c := tinyConfig()
	c.BatchSize, c.GlobalBatchSize, c.WeightDecay = 4, 4, 0.1
	want, ref, rows := wholeRun(t, "go", c, steps)
	if !(want[steps-1] < 0.5*want[0]) {
		t.Errorf("the loss goes from %v to %v: not a run that learns", want[0], want[steps-1])
	}
	backendtest.Each(t, func(t *testing.T, name string) {
		got, state, found := wholeRun(t, name, c, steps)
		worst := 0.0
		for i := range want {
			worst = max(worst, math.Abs(got[i]-want[i])/want[0])
		}
		t.Logf("loss %v to %v; curves at most %.2g of the first loss apart", want[0], want[steps-1], worst)
		if !(worst < bound) {
			t.Errorf("the losses are up to %g of the first apart, bound %g", worst, bound)
		}
		worst = 0
		for _, name := range ref.Names() {
			rel := distanceOf(floats(t, state[name]), floats(t, ref[name]))
			if worst = max(worst, rel); !(rel < stateBound) {
				t.Errorf("%s: off by %g of its length, bound %g", name, rel, stateBound)
			}
		}
		t.Logf("state at most %.2g of an array's length apart", worst)
		logits := cmpopts.IgnoreFields(EvalRows{}, "QHalt")
		if diff := cmp.Diff(rows, found, logits); diff != "" {
			t.Errorf("evaluation (-want +got):\n%s", diff)
		}
	})
}

// distanceOf is the length of the difference over that of want, or over 1 where want is shorter.
func distanceOf(got, want []float64) float64 {
	var diff, length float64
	for i, w := range want {
		diff, length = diff+(got[i]-w)*(got[i]-w), length+w*w
	}
	return math.Sqrt(diff / max(length, 1))
}
