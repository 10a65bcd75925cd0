package trm

import (
	"github.com/gomlx/gomlx/pkg/core/dtypes"
	. "github.com/gomlx/gomlx/pkg/core/graph" //nolint:staticcheck // graphs read as formulas

	"trmsweep/internal/tensor"
)

// stepInputs are the parameters of the gradients program.
type stepInputs struct {
	params, consts, carry map[string]*Node
	puzzles               *Node // nil without a puzzle embedding
	inputs, labels, ids   *Node // the batch, for the slots that halted
	minSteps              *Node
}

// slots are what the slots of the batch work on in this step.
type slots struct{ zH, zL, inputs, labels, ids, steps *Node }

// gradientGraph is one supervision step: forward pass, loss, gradients, and the new carry.
func (m *Model) gradientGraph(g *Graph, param paramFunc) (names []string, nodes []*Node) {
	c := m.cfg
	in := m.stepInputs(g, param)
	s := c.fillSlots(in)
	var local *Node // the puzzle embedding's rows of the slots
	if in.puzzles != nil {
		local = dotSpec{bT: true}.apply(oneHot(s.ids, c.NumPuzzleIdentifiers, dtypes.Float32), in.puzzles)
	}
	w, cut := c.pieces(in.params)
	x := c.embed(w, s.inputs, local)
	r := c.forward(w, s.zH, s.zL, x)
	s.steps = Add(s.steps, OnesLike(s.steps))
	halted, targetQ := c.halting(w, x, r, s.steps, in.minSteps)
	loss := c.lossHead(r.logits, s.labels, r.qHalt, r.qContinue, targetQ, halted, s.steps)

	out := &namedOutputs{}
	c.addGradients(out, loss.total, cut, local, s.ids)
	notFinite := zeroOrNaN(out.nodes, r.zH, r.zL)
	out.add("next/z_H", r.zH)
	out.add("next/z_L", r.zL)
	out.add("next/steps", s.steps)
	out.add("next/halted", halted)
	out.add("next/inputs", s.inputs)
	out.add("next/labels", s.labels)
	out.add("next/puzzle_ids", s.ids)
	if m.keepOutputs {
		out.add("out/logits", ConvertDType(r.logits, dtypes.Float32))
		out.add("out/preds", loss.preds)
		out.add("out/q_halt", r.qHalt)
		out.add("out/q_continue", r.qContinue)
	}
	for i, n := range loss.metrics {
		loss.metrics[i] = Reshape(n, 1)
	}
	out.add("out/metrics", Concatenate(loss.metrics, 0))
	out.add("out/loss", Reshape(Add(loss.total, ReduceAllSum(Concatenate(notFinite, 0))), 1))
	return out.names, out.nodes
}

// stepInputs declares the parameters. If the backend aliases, the memory of the new carry is one of them.
func (m *Model) stepInputs(g *Graph, param paramFunc) stepInputs {
	b := m.cfg.shardRows()
	in := stepInputs{
		params:   m.declare(param, "param"),
		consts:   m.declare(param, "const"),
		carry:    m.declare(param, "carry"),
		puzzles:  m.declare(param, "puzzle_emb")["weights"],
		inputs:   param("batch/inputs", tensor.U8, b, m.cfg.SeqLen),
		labels:   param("batch/labels", tensor.U8, b, m.cfg.SeqLen),
		ids:      param("batch/puzzle_ids", tensor.I32, b),
		minSteps: param("batch/min_steps", tensor.I32, b),
	}
	if aliasesOf(g) != nil {
		for _, v := range m.vars {
			if kind, rest := cutKind(v.name); kind == "carry" {
				param("next/"+rest, v.dtype, m.cfg.shardShape(v)...)
			}
		}
	}
	return in
}

// fillSlots gives the slots that halted a new puzzle of the batch and the start of the recursion. The others go on with their carry.
func (c Config) fillSlots(in stepInputs) slots {
	halted := in.carry["halted"]
	pick := func(fresh, old *Node) *Node {
		dims := old.Shape().Dimensions
		shape := make([]int, len(dims))
		for i := range shape {
			shape[i] = 1
		}
		shape[0] = c.shardRows()
		return Where(BroadcastToDims(Reshape(halted, shape...), dims...), fresh, old)
	}
	start := func(name string, z *Node) *Node {
		v := ConvertDType(in.consts[name], z.DType())
		return pick(BroadcastToDims(Reshape(v, 1, 1, c.HiddenSize), z.Shape().Dimensions...), z)
	}
	return slots{
		zH:     start("H_init", in.carry["z_H"]),
		zL:     start("L_init", in.carry["z_L"]),
		inputs: pick(in.inputs, in.carry["inputs"]),
		labels: pick(in.labels, in.carry["labels"]),
		ids:    pick(in.ids, in.carry["puzzle_ids"]),
		steps:  pick(ZerosLike(in.carry["steps"]), in.carry["steps"]),
	}
}

// halting decides which slots halt after this step: those that made the most steps, and those that want to, if they made their least
// steps. targetQ is what the continue logit learns, from one more forward pass; nil if there is no continue logit.
func (c Config) halting(w weights, x *Node, r recursion, steps, minSteps *Node) (halted, targetQ *Node) {
	last := GreaterOrEqual(steps, MulScalar(OnesLike(steps), int32(c.HaltMaxSteps)))
	if c.HaltMaxSteps <= 1 {
		return last, nil
	}
	stop := GreaterThan(r.qHalt, ZerosLike(r.qHalt))
	if !c.NoACTContinue {
		stop = GreaterThan(r.qHalt, r.qContinue)
	}
	halted = LogicalAnd(LogicalOr(last, stop), GreaterOrEqual(steps, minSteps))
	if !c.NoACTContinue {
		next := c.forward(w, r.zH, r.zL, x)
		targetQ = StopGradient(Logistic(Where(last, next.qHalt, Max(next.qHalt, next.qContinue))))
	}
	return halted, targetQ
}

// zeroOrNaN is a zero per gradient and per recursive state, or NaN if that is not finite: zero times infinity is not a number. Of a
// gradient the square must be finite, since an infinite one would spoil the second moment for good.
func zeroOrNaN(gradients []*Node, states ...*Node) (all []*Node) {
	add := func(n *Node) {
		all = append(all, Reshape(ConvertDType(ReduceAllSum(MulScalar(n, 0)), dtypes.Float64), 1))
	}
	for _, grad := range gradients {
		add(Mul(grad, grad))
	}
	for _, z := range states {
		add(ConvertDType(z, dtypes.Float32))
	}
	return all
}

// addGradients adds the gradient of the mean loss over the global batch by every parameter, in float32. cut are the pieces of the
// parameters, local the puzzle embedding's rows, of the puzzles ids. Where the batch has several shards, these are summed per id: an id
// may occur in any of them.
func (c Config) addGradients(out *namedOutputs, total *Node, cut map[string][]*Node, local, ids *Node) {
	var by []*Node
	if !c.FreezeWeights {
		for _, p := range c.Params() {
			by = append(by, cut[p.Name]...)
		}
	}
	if local != nil {
		by = append(by, local)
	}
	if len(by) == 0 {
		return
	}
	got := Gradient(MulScalar(total, 1/float64(c.GlobalBatchSize)), by...)
	if !c.FreezeWeights {
		for _, p := range c.Params() {
			n := len(cut[p.Name])
			grad := got[0]
			if n > 1 {
				grad = Concatenate(got[:n], 0)
			}
			out.add("grad/"+p.Name, grad)
			got = got[n:]
		}
	}
	switch {
	case local == nil:
	case c.shardCount() == 1:
		out.add("grad/"+localGrad, got[0])
	default:
		sum, count := sumPerID(ids, got[0], c.NumPuzzleIdentifiers)
		out.add("grad/"+puzzleSum, sum)
		out.add("grad/"+idCount, count)
	}
}
