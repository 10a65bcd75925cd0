package trm

import (
	"math"
	"slices"
	"testing"

	"github.com/gomlx/gomlx/pkg/core/dtypes"
	. "github.com/gomlx/gomlx/pkg/core/graph" //nolint:staticcheck // graphs read as formulas

	"trmsweep/internal/experiment"
	"trmsweep/internal/tensor"
)

// array reads a float file as a float32 tensor.
func array(t *testing.T, name string) tensor.Array {
	t.Helper()
	v, shape := npy(t, name)
	return fromFloats(v, shape)
}

// labelArray reads labels; ignored ones become 0.
func labelArray(t *testing.T, name string, ignore float64) (labels tensor.Array, counted []bool) {
	t.Helper()
	v, shape := npy(t, name)
	labels = zeros(tensor.U8, shape...)
	for i, x := range v {
		counted = append(counted, x != ignore)
		if x != ignore {
			labels.Data[i] = byte(x)
		}
	}
	return labels, counted
}

// nearEach compares each value relative to itself, with abs on top.
func nearEach(t *testing.T, what string, got, want []float64, rel, abs float64) {
	t.Helper()
	if len(got) != len(want) || len(want) == 0 {
		t.Errorf("%s: %d values, want %d", what, len(got), len(want))
		return
	}
	for i := range want {
		if d := math.Abs(got[i] - want[i]); !(d <= rel*math.Abs(want[i])+abs) {
			t.Errorf("%s at %d: %v, want %v within %v", what, i, got[i], want[i], rel)
		}
	}
}

// dotted is the scalar whose gradient by a node is what the reference calls the gradient for an incoming dy.
func dotted(y, dy *Node) *Node { return ReduceAllSum(Mul(y, dy)) }

// lostEpsilon is what float64 loses when it is added to 1 or more: the reference adds less to 1-x where x is negative, the model nothing.
const lostEpsilon = 0x1p-53

func TestGoldenStablemax(t *testing.T) { onEach(t, goldenStablemax) }

func goldenStablemax(t *testing.T) {
	t.Helper()
	var m struct {
		Units struct {
			S struct {
				Logits   string  `json:"logits"`
				Labels   string  `json:"labels"`
				Loss     string  `json:"loss_f64"`
				LogProbs string  `json:"logprobs_f64"`
				Grad     string  `json:"grad_of_sum"`
				Epsilon  float64 `json:"epsilon"`
				Ignore   float64 `json:"ignore_label_id"`
			} `json:"stablemax"`
		}
	}
	manifest(t, &m)
	u := m.Units.S
	if u.Epsilon >= lostEpsilon {
		t.Fatalf("epsilon %v, the model has none", u.Epsilon)
	}
	logits := array(t, u.Logits)
	rows, classes := logits.Shape[0], logits.Shape[1]
	labels, counted := labelArray(t, u.Labels, u.Ignore)
	mask := zeros(tensor.Bool, rows)
	for i, yes := range counted {
		if yes {
			mask.Data[i] = 1
		}
	}
	c := Config{LossType: "stablemax_cross_entropy", VocabSize: classes}
	out := runUnit(t, []tensor.Array{logits, labels, mask}, func(in []*Node) []*Node {
		g := in[0].Graph()
		loss := c.crossEntropy(in[0], oneHot(in[1], classes, dtypes.Float64))
		loss = Where(in[2], loss, ZerosLike(loss))
		every := make([]*Node, classes) // -log probability of each class
		for k := range classes {
			label := make([]int32, rows)
			for i := range label {
				label[i] = int32(k)
			}
			every[k] = Reshape(Neg(c.crossEntropy(in[0], oneHot(Const(g, label), classes, dtypes.Float64))), rows, 1)
		}
		return []*Node{loss, Concatenate(every, 1), Gradient(ReduceAllSum(loss), in[0])[0]}
	})
	for i, name := range []string{u.Loss, u.LogProbs} {
		want, _ := npy(t, name)
		nearEach(t, name, out[i], want, 1e-12, 0x1p-51) // a probability next to one is rounded to 2^-53
	}
	grad, _ := npy(t, u.Grad)
	nearEach(t, u.Grad, out[2], grad, 1e-6, 1e-15)
}

func TestGoldenLossHead(t *testing.T) { onEach(t, goldenLossHead) }

func goldenLossHead(t *testing.T) {
	t.Helper()
	var m struct {
		Units struct {
			L struct {
				Type       string             `json:"loss_type"`
				QWeight    float64            `json:"q_halt_weight"`
				Ignore     float64            `json:"ignore_label_id"`
				Logits     string             `json:"logits"`
				Labels     string             `json:"labels"`
				QHalt      []float64          `json:"q_halt_logits"`
				Halted     []bool             `json:"halted"`
				Steps      []float64          `json:"steps"`
				Metrics    map[string]float64 `json:"metrics"`
				Loss       float64            `json:"loss"`
				GradLogits string             `json:"grad_logits"`
				GradQHalt  []float64          `json:"grad_q_halt"`
				AllFinish  bool               `json:"all_finish"`
			} `json:"loss_head"`
		}
	}
	manifest(t, &m)
	u := m.Units.L
	if u.QWeight != qHaltWeight {
		t.Fatalf("q weight %v, the model has %v", u.QWeight, qHaltWeight)
	}
	logits := array(t, u.Logits)
	labels, counted := labelArray(t, u.Labels, u.Ignore)
	for i, yes := range counted {
		if yes && labels.Data[i] == 0 {
			t.Fatalf("label 0 at %d: in a data set it is the ignored one", i)
		}
	}
	rows := logits.Shape[0]
	halted, steps := zeros(tensor.Bool, rows), zeros(tensor.I32, rows)
	for i := range rows {
		if u.Halted[i] {
			halted.Data[i] = 1
		}
		steps.Data[4*i] = byte(u.Steps[i])
	}
	c := Config{LossType: u.Type, SeqLen: logits.Shape[1], VocabSize: logits.Shape[2]}
	out := runUnit(t, []tensor.Array{logits, labels, fromFloats(u.QHalt, []int{rows}), halted, steps}, func(in []*Node) []*Node {
		l := c.lossHead(in[0], in[1], in[2], nil, nil, in[3], in[4])
		return append(append(l.metrics, l.total), Gradient(l.total, in[0], in[2])...)
	})
	names := []string{"loss", "lm_loss", "q_halt_loss", "q_continue_loss", "count", "accuracy", "exact_accuracy", "q_halt_accuracy", "steps"}
	for name, want := range u.Metrics {
		i := slices.Index(names, name)
		if i < 0 {
			t.Fatalf("no metric is called %q", name)
		}
		near(t, name, out[i], []float64{want}, 1e-6, true)
	}
	near(t, "loss", out[len(names)], []float64{u.Loss}, 1e-6, true)
	grad, _ := npy(t, u.GradLogits)
	nearEach(t, u.GradLogits, out[len(names)+1], grad, 1e-6, 1e-15)
	nearEach(t, "gradient of q_halt", out[len(names)+2], u.GradQHalt, 1e-6, 1e-7) // the reference subtracts from one in float32
	if all := !slices.Contains(u.Halted, false); all != u.AllFinish {
		t.Errorf("all_finish %v with %v", u.AllFinish, u.Halted)
	}
}

func TestGoldenRMSNorm(t *testing.T) { onEach(t, goldenRMSNorm) }

func goldenRMSNorm(t *testing.T) {
	t.Helper()
	var m struct {
		Units struct {
			R struct {
				Eps          float64 `json:"eps"`
				X, DY, Y, DX string
			} `json:"rms_norm"`
		}
	}
	manifest(t, &m)
	u := m.Units.R
	out := runUnit(t, []tensor.Array{array(t, u.X), array(t, u.DY)}, func(in []*Node) []*Node {
		y := rmsNorm(in[0], u.Eps)
		return []*Node{y, Gradient(dotted(y, in[1]), in[0])[0]}
	})
	x, shape := npy(t, u.X)
	width := shape[len(shape)-1]
	for i, name := range []string{u.Y, u.DX} {
		want, _ := npy(t, name)
		for r := range len(x) / width { // a row of zeros has gradients many times those of the others
			near(t, name, out[i][r*width:(r+1)*width], want[r*width:(r+1)*width], 1e-5, true)
		}
	}
}

func TestGoldenRoPE(t *testing.T) { onEach(t, goldenRoPE) }

func goldenRoPE(t *testing.T) {
	t.Helper()
	var m struct {
		Units struct {
			R struct {
				Dim       int     `json:"dim"`
				Base      float64 `json:"base"`
				Positions int     `json:"positions"`
				Cos, Sin  string
				Q         string `json:"q"`
				QRot      string `json:"q_rot"`
			} `json:"rope"`
		}
	}
	manifest(t, &m)
	u := m.Units.R
	cos, sin := ropeTables(u.Positions, u.Dim, u.Base)
	for _, table := range []struct {
		file string
		got  []float32
	}{{u.Cos, cos}, {u.Sin, sin}} {
		want, _ := npy(t, table.file)
		got := make([]float64, len(table.got))
		for i, v := range table.got {
			got[i] = float64(v)
		}
		near(t, table.file, got, want, 1e-6, false)
	}
	want, shape := npy(t, u.QRot)
	if shape[1] != u.Positions || shape[3] != u.Dim {
		t.Fatalf("q is %v for %d positions of %d", shape, u.Positions, u.Dim)
	}
	swap := func(x *Node) *Node { return TransposeAllAxes(x, 0, 2, 1, 3) }
	rotated := func(tables ...tensor.Array) []float64 {
		return runUnit(t, append([]tensor.Array{array(t, u.Q)}, tables...), func(in []*Node) []*Node {
			return []*Node{swap(rotate(swap(in[0]), in[1], in[2]))}
		})[0]
	}
	near(t, u.QRot+" by the stored tables", rotated(array(t, u.Cos), array(t, u.Sin)), want, 1e-6, false)
	own := func(v []float32) tensor.Array {
		wide := make([]float64, len(v))
		for i, x := range v {
			wide[i] = float64(x)
		}
		return fromFloats(wide, []int{u.Positions, u.Dim})
	}
	near(t, u.QRot+" by the model's tables", rotated(own(cos), own(sin)), want, 2.5e-6, false)
}

// goldenLayer is a unit with weights: files by "w.<name>" and "dw.<name>" beside x, y, dy, dx and its settings.
type goldenLayer map[string]any

func (u goldenLayer) str(key string) string  { v, _ := u[key].(string); return v }
func (u goldenLayer) num(key string) float64 { v, _ := u[key].(float64); return v }
func (u goldenLayer) shape(name string) []int {
	shapes, _ := u["shapes"].(map[string]any)
	dims, _ := shapes[name].([]any)
	out := make([]int, len(dims))
	for i, d := range dims {
		f, _ := d.(float64)
		out[i] = int(f)
	}
	return out
}

// check runs body on x and the weights and compares y and the gradients of x and of every weight.
func (u goldenLayer) check(t *testing.T, weights []string, body func(x *Node, w []*Node) *Node) {
	t.Helper()
	if len(u) == 0 {
		t.Fatal("the manifest lacks the unit")
	}
	inputs := []tensor.Array{array(t, u.str("x")), array(t, u.str("dy"))}
	files := []string{u.str("y"), u.str("dx")}
	for _, name := range weights {
		w := array(t, u.str("w."+name))
		if !slices.Equal(w.Shape, u.shape(name)) {
			t.Fatalf("%s is %v, the manifest says %v", name, w.Shape, u.shape(name))
		}
		inputs, files = append(inputs, w), append(files, u.str("dw."+name))
	}
	out := runUnit(t, inputs, func(in []*Node) []*Node {
		y := body(in[0], in[2:])
		return append([]*Node{y}, Gradient(dotted(y, in[1]), append([]*Node{in[0]}, in[2:]...)...)...)
	})
	for i, name := range files {
		want, _ := npy(t, name)
		near(t, name, out[i], want, 1e-5, true)
	}
}

func rowsOf(w *Node, part, parts int) *Node {
	n := w.Shape().Dimensions[0] / parts
	return sliceAxis(w, 0, part*n, (part+1)*n)
}

func TestGoldenSwiGLU(t *testing.T) { onEach(t, goldenSwiGLU) }

func goldenSwiGLU(t *testing.T) {
	t.Helper()
	var m struct {
		Units struct{ SwiGLU goldenLayer }
	}
	manifest(t, &m)
	u := m.Units.SwiGLU
	width := u.shape("down_proj.weight")
	if len(width) != 2 || experiment.SwiGLUInter(width[0], u.num("expansion")) != width[1] {
		t.Fatalf("down_proj is %v at expansion %v; the model's inner width is %d", width, u.num("expansion"),
			experiment.SwiGLUInter(width[0], u.num("expansion")))
	}
	u.check(t, []string{"gate_up_proj.weight", "down_proj.weight"}, func(x *Node, w []*Node) *Node {
		return swiglu(x, rowsOf(w[0], 0, 2), rowsOf(w[0], 1, 2), w[1])
	})
}

func TestGoldenAttention(t *testing.T) { onEach(t, goldenAttention) }

func goldenAttention(t *testing.T) {
	t.Helper()
	var m struct {
		Units struct{ Attention goldenLayer }
	}
	manifest(t, &m)
	u := m.Units.Attention
	heads, size, positions := int(u.num("num_heads")), int(u.num("head_dim")), int(u.num("positions"))
	cos, sin := ropeTables(positions, size, u.num("rope_theta"))
	u.check(t, []string{"qkv_proj.weight", "o_proj.weight"}, func(x *Node, w []*Node) *Node {
		table := func(v []float32) *Node { return Reshape(Const(x.Graph(), v), positions, size) }
		return attention(x, rowsOf(w[0], 0, 3), rowsOf(w[0], 1, 3), rowsOf(w[0], 2, 3), w[1], heads, table(cos), table(sin))
	})
}
