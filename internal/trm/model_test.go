package trm

import (
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/pkg/core/graph"

	"trmsweep/internal/tensor"
)

func tinyBatch(c Config) StepInput {
	in := StepInput{Inputs: make([]uint8, c.BatchSize*c.SeqLen), Labels: make([]uint8, c.BatchSize*c.SeqLen),
		PuzzleIDs: make([]int32, c.BatchSize)}
	for i := range in.Inputs {
		in.Labels[i] = uint8(2 + splitmix(uint64(i))%9)
		in.Inputs[i] = 1
		if splitmix(uint64(i)+1)%2 == 0 {
			in.Inputs[i] = in.Labels[i]
		}
	}
	return in
}

// freshModel is a model on the backend with start values; the caller closes it.
func freshModel(t *testing.T, be backends.Backend, c Config) *Model {
	t.Helper()
	m, err := New(be, c)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Load(m.InitState(1)); err != nil {
		t.Fatal(err)
	}
	return m
}

// lastMetrics are those of the step made last.
func lastMetrics(t *testing.T, m *Model) Metrics {
	t.Helper()
	mt, err := m.Metrics()
	if err != nil {
		t.Fatal(err)
	}
	return mt
}

func trainTiny(t *testing.T, c Config, steps int) (*Model, []float64) {
	t.Helper()
	m := testModel(t, c)
	if err := m.Load(m.InitState(1)); err != nil {
		t.Fatal(err)
	}
	in := tinyBatch(c)
	in.LR, in.PuzzleEmbLR = 3e-3, 3e-3
	var curve []float64
	for s := range steps {
		in.Step = int64(s + 1)
		if res, err := m.Step(in); err != nil || !res.Finite {
			t.Fatalf("step %d: loss %v, %v", s+1, res.Loss, err)
		}
		curve = append(curve, lastMetrics(t, m).LMLoss)
	}
	return m, curve
}

func TestEveryOptionLearns(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"mlp":                func(*Config) {},
		"attention rope":     func(c *Config) { c.MLPT, c.PosEncodings = false, "rope" },
		"learned positions":  func(c *Config) { c.MLPT, c.PosEncodings = false, "learned" },
		"softmax":            func(c *Config) { c.LossType = "softmax_cross_entropy" },
		"target Q":           func(c *Config) { c.NoACTContinue = false },
		"no puzzle":          func(c *Config) { c.PuzzleEmbNDim = 0 },
		"no EMA":             func(c *Config) { c.EMA = false },
		"bfloat16":           func(c *Config) { c.ForwardDType = "bfloat16" },
		"bfloat16 attention": func(c *Config) { c.ForwardDType, c.MLPT, c.PosEncodings = "bfloat16", false, "rope" },
	} {
		t.Run(name, func(t *testing.T) {
			c := tinyConfig()
			change(&c)
			m, curve := trainTiny(t, c, 8)
			if last := curve[len(curve)-1]; !(last < 0.95*curve[0]) {
				t.Errorf("the loss did not fall: %v", curve)
			}
			in := tinyBatch(c)
			rows, err := m.Eval(in.Inputs, in.Labels, in.PuzzleIDs)
			if err != nil {
				t.Fatal(err)
			}
			if len(rows.Exact) != c.BatchSize || int(rows.Cells[0]) != c.SeqLen {
				t.Errorf("evaluation: %+v", rows)
			}
		})
	}
}

func TestFrozenWeightsStay(t *testing.T) {
	c := tinyConfig()
	c.FreezeWeights = true
	m, _ := trainTiny(t, c, 2)
	before, after := m.InitState(1), mustSnapshot(t, m)
	for _, p := range c.Params() {
		if string(before["param/"+p.Name].Data) != string(after["param/"+p.Name].Data) {
			t.Errorf("%s changed", p.Name)
		}
	}
	if string(before[puzzleEmb].Data) == string(after[puzzleEmb].Data) {
		t.Error("the puzzle embedding did not change")
	}
}

func TestResumeIsBitExact(t *testing.T) {
	c := tinyConfig()
	whole, _ := trainTiny(t, c, 4)
	half, _ := trainTiny(t, c, 2)
	resumed := testModel(t, c)
	if err := resumed.Load(mustSnapshot(t, half)); err != nil {
		t.Fatal(err)
	}
	in := tinyBatch(c)
	in.LR, in.PuzzleEmbLR = 3e-3, 3e-3
	for in.Step = 3; in.Step <= 4; in.Step++ {
		if _, err := resumed.Step(in); err != nil {
			t.Fatal(err)
		}
	}
	if a, b := mustSnapshot(t, whole).SHA256(), mustSnapshot(t, resumed).SHA256(); a != b {
		t.Errorf("resumed state %s, undisturbed %s", b, a)
	}
}

func mustSnapshot(t *testing.T, m *Model) tensor.State {
	t.Helper()
	s, err := m.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestGradientIsProducts counts matrix products: all T cycles forward, but only
// the last cycle's n+1 stacks backward, with two products each.
func TestGradientIsProducts(t *testing.T) {
	c := tinyConfig()
	c.HCycles, c.LCycles = 4, 2
	m, _ := trainTiny(t, c, 1)
	got := 0
	for _, n := range m.shards[0].gradients.g.Nodes() {
		if n.Type() == graph.NodeTypeDotGeneral {
			got++
		}
	}
	perStack := 6 * c.LLayers
	forward := c.HCycles*(c.LCycles+1)*perStack + 4 // tokens, puzzle embedding, both heads
	// One side of the tokens' and the puzzles' one-hot products is a constant, but is derived too before pruning.
	least, most := forward+2*(c.LCycles+1)*perStack, forward+2*(c.LCycles+1)*perStack+8
	if got < least || got > most {
		t.Errorf("%d matrix products, want %d to %d", got, least, most)
	}
}

func TestBFloat16IsNear(t *testing.T) {
	c := tinyConfig()
	_, f32 := trainTiny(t, c, 1)
	c.ForwardDType = "bfloat16"
	_, bf16 := trainTiny(t, c, 1)
	rel := math.Abs(f32[0]-bf16[0]) / f32[0]
	t.Logf("first loss: float32 %v, bfloat16 %v, relative difference %.2g", f32[0], bf16[0], rel)
	if rel == 0 || rel > 0.03 {
		t.Errorf("relative difference %v", rel)
	}
}

func TestWrongInputIsAnError(t *testing.T) {
	c := tinyConfig()
	c.NumHeads = 3
	if _, err := New(nil, c); err == nil {
		t.Error("3 heads of 16 values are accepted")
	}
	m := testModel(t, tinyConfig())
	if _, err := m.Step(tinyBatch(tinyConfig())); err == nil {
		t.Error("a step without a state is accepted")
	}
	s := m.InitState(1)
	delete(s, "carry/z_H")
	if err := m.Load(s); err == nil {
		t.Error("a state without z_H is accepted")
	}
	if err := m.Load(m.InitState(1)); err != nil {
		t.Fatal(err)
	}
	in := tinyBatch(tinyConfig())
	in.PuzzleIDs[0] = 7
	if _, err := m.Step(in); err == nil {
		t.Error("puzzle id 7 of 1 is accepted")
	}
}

// TestNotFiniteChangesNothing: a step whose loss, or only whose gradients, or only whose gradients' squares are
// not finite leaves weights and carry, and nothing to apply.
func TestNotFiniteChangesNothing(t *testing.T) { onEach(t, notFiniteChangesNothing) }

// fill makes every value of a float32 array v.
func fill(a tensor.Array, v float32) {
	for i := range a.Len() {
		binary.LittleEndian.PutUint32(a.Data[4*i:], math.Float32bits(v))
	}
}

func notFiniteChangesNothing(t *testing.T) {
	nothingButTheHead := func(s tensor.State) { // zeros through norms with a tiny epsilon
		for name, a := range s {
			kind, _ := cutKind(name)
			weight := kind == "param" || kind == "const"
			if weight && name != "param/lm_head.weight" {
				fill(a, 0)
			}
		}
	}
	models := map[float64]*Model{}
	for _, c := range []struct {
		name  string
		eps   float64
		spoil func(s tensor.State)
		loss  bool // finite
	}{
		{"loss", 1e-36, func(s tensor.State) { fill(s["param/lm_head.weight"], float32(math.NaN())) }, false},
		{"gradients", 1e-36, nothingButTheHead, true},
		{"squares", 1e-15, nothingButTheHead, true},
	} {
		cfg := tinyConfig()
		cfg.RMSNormEps = c.eps
		m := models[c.eps]
		if m == nil {
			m = testModel(t, cfg)
			models[c.eps] = m
		}
		t.Run(c.name, func(t *testing.T) {
			s := m.InitState(1)
			c.spoil(s)
			if err := m.Load(s); err != nil {
				t.Fatal(err)
			}
			before := mustSnapshot(t, m).SHA256()
			in := tinyBatch(cfg)
			in.Step, in.LR = 1, 1e-3
			res, err := m.Step(in)
			if err != nil {
				t.Fatal(err)
			}
			if res.Finite || finite(res.Loss) != c.loss {
				t.Errorf("loss %v, finite %v", res.Loss, res.Finite)
			}
			if mustSnapshot(t, m).SHA256() != before {
				t.Error("the state changed")
			}
			if err := m.Apply(1, 1e-3, 1e-3); err == nil {
				t.Error("there were gradients to apply")
			}
		})
	}
}

func TestOutputsOnlyWhenAsked(t *testing.T) {
	c := tinyConfig()
	m, _ := trainTiny(t, c, 1)
	if out, err := m.LastOutputs(); err == nil {
		t.Errorf("outputs without KeepOutputs: %v", out.Names())
	}
	m.KeepOutputs(true)
	in := tinyBatch(c)
	in.Step, in.LR = 2, 1e-3
	if _, err := m.Step(in); err != nil {
		t.Fatal(err)
	}
	out, err := m.LastOutputs()
	if err != nil || out["logits"].Len() != c.BatchSize*c.SeqLen*c.VocabSize {
		t.Errorf("outputs %v, %v", out.Names(), err)
	}
}

// TestBenchRefusesWhatIsNotFinite: a time of steps that train nothing would look like any other.
func TestBenchRefusesWhatIsNotFinite(t *testing.T) {
	c := tinyConfig()
	if _, err := testModel(t, c).BenchStep(1); err != nil {
		t.Fatal(err)
	}
	c.RMSNormEps = math.NaN()
	if _, err := testModel(t, c).BenchStep(1); !errors.Is(err, ErrNotFinite) || !strings.Contains(err.Error(), "step 1 ") {
		t.Errorf("error %v, want ErrNotFinite at step 1", err)
	}
}

// An evaluation can be ended before each of its supervision steps.
func TestEvalLooksBeforeEveryStep(t *testing.T) {
	c := tinyConfig()
	m := testModel(t, c)
	if err := m.Load(m.InitState(1)); err != nil {
		t.Fatal(err)
	}
	in := tinyBatch(c)
	stop := errors.New("told to stop")
	for at := range c.HaltMaxSteps + 1 {
		looks := 0
		look := func() error {
			if looks++; looks > at {
				return stop
			}
			return nil
		}
		_, err := m.EvalWhile(look, in.Inputs, in.Labels, in.PuzzleIDs)
		if wantErr := at < c.HaltMaxSteps; errors.Is(err, stop) != wantErr || looks != min(at+1, c.HaltMaxSteps) {
			t.Errorf("told before step %d: %v after %d looks", at+1, err, looks)
		}
	}
}
