package trm

import (
	"fmt"
	"math"
	"strings"

	"github.com/gomlx/gomlx/pkg/core/dtypes"
	. "github.com/gomlx/gomlx/pkg/core/graph" //nolint:staticcheck // graphs read as formulas
)

// dtype is the type that the forward pass computes in.
func (c Config) dtype() dtypes.DType {
	if c.ForwardDType == "bfloat16" {
		return dtypes.BFloat16
	}
	return dtypes.Float32
}

// weights are the tensors of a forward pass by the reference's names, cut into the pieces that it uses and in the forward type.
type weights map[string]*Node

// linear is x·wᵀ over the last axis of x.
func linear(x, w *Node) *Node {
	dims := append([]int(nil), x.Shape().Dimensions...)
	in := dims[len(dims)-1]
	dims[len(dims)-1] = w.Shape().Dimensions[0]
	return Reshape(matmul(Reshape(x, -1, in), w), dims...)
}

// rmsNorm divides by the root mean square over the last axis, in float32.
func rmsNorm(x *Node, eps float64) *Node {
	y := ConvertDType(x, dtypes.Float32)
	n := x.Shape().Dimensions[x.Rank()-1]
	mean := MulScalar(ReduceAndKeep(Mul(y, y), ReduceSum, -1), 1/float64(n))
	return ConvertDType(Div(y, Sqrt(AddScalar(mean, eps))), x.DType())
}

// silu is x*sigmoid(x), rounded once.
func silu(x *Node) *Node {
	y := ConvertDType(x, dtypes.Float32)
	return ConvertDType(Mul(y, Logistic(y)), x.DType())
}

// swiglu is down(silu(gate(x)) * up(x)).
func swiglu(x, gate, up, down *Node) *Node {
	return linear(Mul(silu(linear(x, gate)), linear(x, up)), down)
}

// scaled is x times a number that is not rounded to the type of x.
func scaled(x *Node, by float64) *Node {
	return ConvertDType(MulScalar(ConvertDType(x, dtypes.Float32), by), x.DType())
}

// rotate applies rotary positions to x [B, heads, length, size] with tables [length, size].
func rotate(x, cos, sin *Node) *Node {
	half := x.Shape().Dimensions[3] / 2
	y := ConvertDType(x, dtypes.Float32)
	turned := Concatenate([]*Node{Neg(sliceAxis(y, 3, half, 2*half)), sliceAxis(y, 3, 0, half)}, 3)
	dims := x.Shape().Dimensions
	table := func(t *Node) *Node { return BroadcastToDims(Reshape(t, 1, 1, dims[2], dims[3]), dims...) }
	return ConvertDType(Add(Mul(y, table(cos)), Mul(turned, table(sin))), x.DType())
}

// ropeTables are cos and sin of position*theta^(-2i/size), twice over, [length*size].
// Every intermediate is rounded to float32, as in the reference.
func ropeTables(length, size int, theta float64) (cos, sin []float32) {
	for p := range length {
		for i := range size {
			exponent := float32(2*(i%(size/2))) / float32(size)
			freq := 1 / float32(math.Pow(theta, float64(exponent)))
			angle := float64(float32(p) * freq)
			cos, sin = append(cos, float32(math.Cos(angle))), append(sin, float32(math.Sin(angle)))
		}
	}
	return cos, sin
}

// softmax is over the last axis, in float32. The largest score is subtracted first, so that no exponential overflows.
func softmax(scores *Node) *Node {
	e := Exp(Sub(scores, StopGradient(ReduceAndKeep(scores, ReduceMax, -1))))
	return Div(e, ReduceAndKeep(e, ReduceSum, -1))
}

// attention is softmax(q·kᵀ/√size)·v per head, without mask or bias. If cos is nil there are no positions.
func attention(x, wq, wk, wv, wo *Node, heads int, cos, sin *Node) *Node {
	b, l, d := x.Shape().Dimensions[0], x.Shape().Dimensions[1], x.Shape().Dimensions[2]
	size := d / heads
	split := func(w *Node) *Node { return TransposeAllAxes(Reshape(linear(x, w), b, l, heads, size), 0, 2, 1, 3) }
	q, k, v := split(wq), split(wk), split(wv)
	if cos != nil {
		q, k = rotate(q, cos, sin), rotate(k, cos, sin)
	}
	scores := MulScalar(ConvertDType(matmul(q, k), dtypes.Float32), 1/math.Sqrt(float64(size)))
	p := ConvertDType(softmax(scores), x.DType())
	out := dotSpec{batch: 2, bT: true}.apply(p, v)
	return linear(Reshape(TransposeAllAxes(out, 0, 2, 1, 3), b, l, d), wo)
}

// stack is the L_layers-deep block stack: post-norm mixing, then post-norm SwiGLU.
func (c Config) stack(w weights, x *Node, cos, sin *Node) *Node {
	for i := range c.LLayers {
		layer := fmt.Sprintf("L_level.layers.%d", i)
		mlp := func(x *Node, name string) *Node {
			name = layer + name
			return rmsNorm(Add(x, swiglu(x, w[name+".gate"], w[name+".up"], w[name+".down_proj.weight"])), c.RMSNormEps)
		}
		if c.MLPT {
			x = Transpose(mlp(Transpose(x, 1, 2), ".mlp_t"), 1, 2)
		} else {
			at := layer + ".self_attn"
			x = rmsNorm(Add(x, attention(x, w[at+".q"], w[at+".k"], w[at+".v"], w[at+".o_proj.weight"], c.NumHeads, cos, sin)), c.RMSNormEps)
		}
		x = mlp(x, ".mlp")
	}
	return x
}

// pieces cuts the stacked projections and casts everything to the forward type. cut lists, per parameter, the nodes to differentiate by, in
// order: their gradients concatenated along axis 0 are the parameter's.
func (c Config) pieces(params map[string]*Node) (w weights, cut map[string][]*Node) {
	w, cut = weights{}, map[string][]*Node{}
	dt := c.dtype()
	for _, p := range c.Params() {
		node := params[p.Name]
		names := []string{p.Name}
		if stem, ok := strings.CutSuffix(p.Name, ".gate_up_proj.weight"); ok {
			names = []string{stem + ".gate", stem + ".up"}
		} else if stem, ok := strings.CutSuffix(p.Name, ".qkv_proj.weight"); ok {
			names = []string{stem + ".q", stem + ".k", stem + ".v"}
		}
		step := p.Shape[0] / len(names)
		for i, name := range names {
			piece := node
			if len(names) > 1 {
				piece = sliceAxis(node, 0, i*step, (i+1)*step)
			}
			cut[p.Name] = append(cut[p.Name], piece)
			w[name] = ConvertDType(piece, dt)
		}
	}
	return w, cut
}

// oneHot is [len(ids), n] in the given type.
func oneHot(ids *Node, n int, dt dtypes.DType) *Node {
	flat := Reshape(ConvertDType(ids, dtypes.Int32), -1, 1)
	rows := flat.Shape().Dimensions[0]
	numbers := make([]int32, n)
	for i := range numbers {
		numbers[i] = int32(i)
	}
	all := BroadcastToDims(Reshape(Const(ids.Graph(), numbers), 1, n), rows, n)
	return ConvertDType(Equal(BroadcastToDims(flat, rows, n), all), dt)
}

// embed is the input of the recursion [B, length, hidden]; puzzle [B, ndim] is nil without a puzzle embedding.
func (c Config) embed(w weights, inputs, puzzle *Node) *Node {
	b, d := inputs.Shape().Dimensions[0], c.HiddenSize
	dt := c.dtype()
	tokens := dotSpec{bT: true}.apply(oneHot(inputs, c.VocabSize, dt), w["embed_tokens.embedding_weight"])
	x := Reshape(tokens, b, c.SeqLen, d)
	if puzzle != nil {
		head := ConvertDType(puzzle, dt)
		if rest := c.PrefixLen()*d - c.PuzzleEmbNDim; rest > 0 {
			shape := head.Shape().Clone()
			shape.Dimensions[1] = rest
			head = Concatenate([]*Node{head, Zeros(x.Graph(), shape)}, 1)
		}
		x = Concatenate([]*Node{Reshape(head, b, c.PrefixLen(), d), x}, 1)
	}
	if pos := w["embed_pos.embedding_weight"]; pos != nil {
		x = scaled(Add(x, BroadcastToDims(Reshape(pos, 1, c.Length(), d), x.Shape().Dimensions...)), 0.707106781)
	}
	return scaled(x, math.Sqrt(float64(d)))
}

// recursion is the result of a forward pass: the new recursive state, the logits [B, cells, vocabulary], and the two q logits [B] in
// float32.
type recursion struct{ zH, zL, logits, qHalt, qContinue *Node }

// forward is one supervision step: T cycles, of which only the last has a gradient.
func (c Config) forward(w weights, zH, zL, x *Node) recursion {
	var cos, sin *Node
	if c.PosEncodings == "rope" && !c.MLPT {
		ct, st := ropeTables(c.Length(), c.HiddenSize/c.NumHeads, c.RoPETheta)
		cos = Reshape(Const(x.Graph(), ct), c.Length(), -1)
		sin = Reshape(Const(x.Graph(), st), c.Length(), -1)
	}
	stopped := weights{}
	for name, n := range w {
		stopped[name] = StopGradient(n)
	}
	for t := range c.HCycles {
		use, in := stopped, StopGradient(x)
		if t == c.HCycles-1 {
			use, in = w, x
			zH, zL = StopGradient(zH), StopGradient(zL)
		}
		for range c.LCycles {
			zL = c.stack(use, Add(zL, Add(zH, in)), cos, sin)
		}
		zH = c.stack(use, Add(zH, zL), cos, sin)
	}
	b := x.Shape().Dimensions[0]
	logits := linear(sliceAxis(zH, 1, c.PrefixLen(), c.Length()), w["lm_head.weight"])
	q := linear(Reshape(sliceAxis(zH, 1, 0, 1), b, c.HiddenSize), w["q_head.weight"])
	q = ConvertDType(Add(q, BroadcastToDims(Reshape(w["q_head.bias"], 1, 2), b, 2)), dtypes.Float32)
	return recursion{
		zH:        StopGradient(zH),
		zL:        StopGradient(zL),
		logits:    logits,
		qHalt:     Reshape(sliceAxis(q, 1, 0, 1), b),
		qContinue: Reshape(sliceAxis(q, 1, 1, 2), b),
	}
}
