package trm

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"testing"

	. "github.com/gomlx/gomlx/pkg/core/graph" //nolint:staticcheck // graphs read as formulas

	"trmsweep/internal/experiment"
	"trmsweep/internal/tensor"
)

func TestGoldenParamCounts(t *testing.T) {
	var m struct {
		Units struct {
			Counts map[string]struct {
				Config map[string]any   `json:"config"`
				Num    int              `json:"num_params"`
				Shapes map[string][]int `json:"shapes"`
			} `json:"param_counts"`
			Inter []struct {
				Hidden    int     `json:"hidden"`
				Expansion float64 `json:"expansion"`
				Inter     int     `json:"inter"`
			} `json:"swiglu_inter"`
		}
	}
	manifest(t, &m)
	if len(m.Units.Counts) == 0 || len(m.Units.Inter) == 0 {
		t.Fatal("the manifest has no parameter counts or no widths")
	}
	for name, u := range m.Units.Counts {
		ps := goldenCase{Config: u.Config}.config().Params()
		n := 0
		for _, p := range ps {
			size := 1
			for _, d := range p.Shape {
				size *= d
			}
			n += size
			if !slices.Equal(p.Shape, u.Shapes[p.Name]) {
				t.Errorf("%s: %s is %v, want %v", name, p.Name, p.Shape, u.Shapes[p.Name])
			}
		}
		if n != u.Num || len(ps) != len(u.Shapes) {
			t.Errorf("%s: %d values in %d tensors, want %d in %d", name, n, len(ps), u.Num, len(u.Shapes))
		}
	}
	for _, u := range m.Units.Inter {
		if got := experiment.SwiGLUInter(u.Hidden, u.Expansion); got != u.Inter {
			t.Errorf("inner width of %d at %v = %d, want %d", u.Hidden, u.Expansion, got, u.Inter)
		}
	}
}

func TestGoldenTruncNormal(t *testing.T) {
	var m struct {
		Units struct {
			TN map[string]json.RawMessage `json:"trunc_normal"`
		}
	}
	manifest(t, &m)
	get := func(key string, into any) {
		t.Helper()
		if err := json.Unmarshal(m.Units.TN[key], into); err != nil {
			t.Fatalf("trunc_normal %s: %v", key, err)
		}
	}
	var low, high, clip, zero float64
	var uFile, valueFile string
	get("uniform_low", &low)
	get("uniform_high", &high)
	get("clip_at_std_1", &clip)
	get("std_0_gives", &zero)
	get("u", &uFile)
	get("value_std_1", &valueFile)
	u, _ := npy(t, uFile)
	want, _ := npy(t, valueFile)
	got := make([]float64, len(u))
	for i, x := range u {
		got[i] = TruncNormal((x-low)/(high-low), 1)
	}
	near(t, "truncated normal", got, want, 2e-6, false)
	near(t, "cut", []float64{TruncNormal(0, 1), TruncNormal(1, 1)}, []float64{-clip, clip}, 2e-6, false)
	if x := floats(t, truncNormal(7, "w", []int{1}, 0, 0))[0]; x != zero {
		t.Errorf("deviation 0 gives %v, want %v", x, zero)
	}
	for key := range m.Units.TN {
		var std float64
		if _, err := fmt.Sscanf(key, "sample_std_%f_", &std); err != nil {
			continue
		}
		var sample struct{ Mean, Std, Max, Min float64 }
		get(key, &sample)
		const n = 1 << 18
		v := floats(t, truncNormal(7, "w", []int{n}, std, 0))
		var sum, squares float64
		for _, x := range v {
			sum, squares = sum+x, squares+x*x
		}
		near(t, "mean of a sample", []float64{sum / n}, []float64{sample.Mean}, 5*std/math.Sqrt(n), false)
		near(t, "deviation of a sample", []float64{math.Sqrt(squares / n)}, []float64{sample.Std}, 5*std/math.Sqrt(2*n), false)
		near(t, "ends of a sample", []float64{slices.Min(v), slices.Max(v)}, []float64{sample.Min, sample.Max}, 5e-3*std, false)
	}
}

// runUnit runs one unit graph on float32 inputs.
func runUnit(t *testing.T, inputs []tensor.Array, body func(in []*Node) []*Node) [][]float64 {
	t.Helper()
	m := testModel(t, tinyConfig())
	arrays := tensor.State{}
	p, err := m.dev.build("unit", m.arrays, func(_ *Graph, param paramFunc) ([]string, []*Node) {
		var in []*Node
		for i, a := range inputs {
			name := string(rune('a' + i))
			in = append(in, param(name, a.DType, a.Shape...))
			arrays[name] = a
		}
		out := body(in)
		names := make([]string, len(out))
		for i := range out {
			names[i] = "out/" + string(rune('a'+i))
		}
		return names, out
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, a := range arrays {
		if err := m.dev.load(p.own[name], a.Data); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.dev.run(p); err != nil {
		t.Fatal(err)
	}
	out := make([][]float64, len(p.outputs))
	for i := range out {
		a, err := toHost(m.dev, p.outputs[i])
		if err != nil {
			t.Fatal(err)
		}
		out[i] = floats(t, a)
	}
	return out
}

func tinyConfig() Config {
	return Config{BatchSize: 2, GlobalBatchSize: 2, SeqLen: 81, VocabSize: 11, NumPuzzleIdentifiers: 1, PuzzleEmbNDim: 16, PuzzleEmbLen: 2,
		HCycles: 2, LCycles: 1, LLayers: 1, HiddenSize: 16, NumHeads: 2, Expansion: 1, MLPT: true, PosEncodings: "none", RMSNormEps: 1e-5,
		RoPETheta: 10000, HaltMaxSteps: 2, NoACTContinue: true, ForwardDType: "float32", LossType: "stablemax_cross_entropy",
		Beta1: 0.9, Beta2: 0.95, EMA: true, EMARate: 0.9}
}

func TestGoldenAdamATan2(t *testing.T) { onEach(t, goldenAdamATan2) }

func goldenAdamATan2(t *testing.T) {
	t.Helper()
	var m struct {
		Units struct {
			A struct {
				LR     float64 `json:"lr"`
				Beta1  float64 `json:"beta1"`
				Beta2  float64 `json:"beta2"`
				WD     float64 `json:"weight_decay"`
				Param0 string  `json:"param0"`
				Grads  string  `json:"grads"`
				Params string  `json:"params_after_each_step"`
				M      string  `json:"exp_avg"`
				V      string  `json:"exp_avg_sq"`
				Other  string  `json:"params_reverted_variant"`
			} `json:"adam_atan2"`
		}
	}
	manifest(t, &m)
	u := m.Units.A
	p, shape := npy(t, u.Param0)
	grads, gshape := npy(t, u.Grads)
	want, _ := npy(t, u.Params)
	wantM, _ := npy(t, u.M)
	wantV, _ := npy(t, u.V)
	n := len(p)
	// A gradient whose square is below float32's normal numbers: denormals may differ.
	const smallest = 0x1p-126
	underflows := make([]bool, n)
	for i, g := range grads {
		if g != 0 && g*g < smallest/(1-u.Beta2) {
			underflows[i%n] = true
		}
	}
	mm, vv := make([]float64, n), make([]float64, n)
	for step := range gshape[0] {
		one := func(x float64) tensor.Array { return fromFloats([]float64{x}, []int{}) }
		b1, b2 := math.Pow(u.Beta1, float64(step+1)), math.Pow(u.Beta2, float64(step+1))
		out := runUnit(t, []tensor.Array{fromFloats(p, shape), fromFloats(mm, shape), fromFloats(vv, shape),
			fromFloats(grads[step*n:(step+1)*n], shape),
			one(1 - u.LR*u.WD), one(u.LR / (1 - b1)), one(math.Sqrt(1 - b2))}, func(in []*Node) []*Node {
			a, b, c := adamATan2(in[0], in[1], in[2], in[3], in[4], in[5], in[6], u.Beta1, u.Beta2)
			return []*Node{a, b, c}
		})
		p, mm, vv = out[0], out[1], out[2]
		for i := range p {
			if !underflows[i] && !(math.Abs(p[i]-want[step*n+i]) <= 1e-6) {
				t.Errorf("step %d entry %d: %v, want %v", step+1, i, p[i], want[step*n+i])
			}
		}
	}
	near(t, "first moment", mm, wantM, 1e-6, true)
	for i := range vv {
		if !underflows[i] && !(math.Abs(vv[i]-wantV[i]) <= 1e-5*wantV[i]) {
			t.Errorf("second moment %d: %v, want %v", i, vv[i], wantV[i])
		}
	}
	other, _ := npy(t, u.Other)
	differ := 0.0
	for i := range p {
		if !underflows[i] {
			differ = max(differ, math.Abs(p[i]-other[len(other)-n+i]))
		}
	}
	if differ < u.LR/100 {
		t.Errorf("the result is that of the variant with the bias correction inside atan2, within %v", differ)
	}
}

func TestGoldenSignSGD(t *testing.T) { onEach(t, goldenSignSGD) }

func goldenSignSGD(t *testing.T) {
	t.Helper()
	var m struct {
		Units struct {
			S struct {
				LR   float64 `json:"lr"`
				WD   float64 `json:"weight_decay"`
				IDs  []int32 `json:"ids"`
				W0   string  `json:"weights0"`
				Grad string  `json:"grad_rows"`
				W1   string  `json:"weights1"`
			} `json:"sign_sgd"`
		}
	}
	manifest(t, &m)
	u := m.Units.S
	w0, shape := npy(t, u.W0)
	g, gshape := npy(t, u.Grad)
	w1, _ := npy(t, u.W1)
	ids := zeros(tensor.I32, len(u.IDs))
	for i, id := range u.IDs {
		binary.LittleEndian.PutUint32(ids.Data[4*i:], uint32(id))
	}
	one := func(x float64) tensor.Array { return fromFloats([]float64{x}, []int{}) }
	out := runUnit(t, []tensor.Array{fromFloats(w0, shape), ids, fromFloats(g, gshape), one(1 - u.LR*u.WD), one(u.LR)},
		func(in []*Node) []*Node { return []*Node{signSGD(in[0], in[1], in[2], in[3], in[4])} })
	near(t, "puzzle embedding", out[0], w1, 1e-7*max(1, 1.2*slices.Max(w1), -1.2*slices.Min(w1)), false) // float32 is coarser beyond one
}
