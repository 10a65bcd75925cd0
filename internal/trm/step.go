package trm

import (
	"errors"
	"fmt"
	"maps"
	"math"

	"github.com/gomlx/gomlx/pkg/core/dtypes"
	. "github.com/gomlx/gomlx/pkg/core/graph" //nolint:staticcheck // graphs read as formulas
	"github.com/gomlx/gomlx/pkg/core/tensors"

	"trmsweep/internal/tensor"
)

var errNoState = errors.New("the model has no state yet: Load comes first")

// StepInput is one batch. Inputs and Labels are [B*cells] data-set values.
// MinSteps is nil or the least number of supervision steps per slot, 0 = none.
// Step counts from 1.
type StepInput struct {
	Inputs, Labels  []uint8
	PuzzleIDs       []int32
	MinSteps        []int32
	Step            int64
	LR, PuzzleEmbLR float64
}

// Metrics are sums over the batch as in the reference. The accuracies and Steps
// count only the Count rows that halted in this step. Finite says that the loss,
// every gradient and the new carry are.
type Metrics struct {
	Loss, LMLoss, QHaltLoss, QContinueLoss        float64
	Count, Accuracy, ExactAccuracy, QHaltAccuracy float64
	Steps                                         float64
	Finite                                        bool
}

const localGrad = "puzzle_emb.local_weights"

// Step is one supervision step and one optimizer step. A step that is not finite
// changes nothing. After an error from Apply the state is gone: Load comes next.
func (m *Model) Step(in StepInput) (Metrics, error) {
	mt, err := m.Gradients(in)
	if err != nil || !mt.Finite {
		return mt, err
	}
	return mt, m.Apply(in.Step, in.LR, in.PuzzleEmbLR)
}

// Gradients runs forward and backward, moves the carry on and leaves the gradients
// for Apply. Where the metrics are not finite the carry stays and there are no gradients.
func (m *Model) Gradients(in StepInput) (Metrics, error) {
	c := m.cfg
	if len(m.state) == 0 {
		return Metrics{}, errNoState
	}
	b := c.BatchSize
	if in.MinSteps == nil {
		in.MinSteps = make([]int32, b)
	}
	if len(in.Inputs) != b*c.SeqLen || len(in.Labels) != b*c.SeqLen || len(in.PuzzleIDs) != b || len(in.MinSteps) != b {
		return Metrics{}, fmt.Errorf("batch of %d inputs, %d labels, %d ids, %d least steps; the model takes %d rows of %d cells",
			len(in.Inputs), len(in.Labels), len(in.PuzzleIDs), len(in.MinSteps), b, c.SeqLen)
	}
	if err := m.checkRows(in.Inputs, in.Labels, in.PuzzleIDs); err != nil {
		return Metrics{}, err
	}
	if m.gradX == nil {
		var err error
		if m.gradX, err = m.build("gradients", m.gradientGraph); err != nil {
			m.gradX = nil
			return Metrics{}, err
		}
	}
	args := maps.Clone(m.state)
	args["batch/inputs"] = tensors.FromFlatDataAndDimensions(in.Inputs, b, c.SeqLen)
	args["batch/labels"] = tensors.FromFlatDataAndDimensions(in.Labels, b, c.SeqLen)
	args["batch/puzzle_ids"] = tensors.FromFlatDataAndDimensions(in.PuzzleIDs, b)
	args["batch/min_steps"] = tensors.FromFlatDataAndDimensions(in.MinSteps, b)
	out, err := m.run(m.gradX, args, nil)
	for _, name := range []string{"batch/inputs", "batch/labels", "batch/puzzle_ids", "batch/min_steps"} {
		_ = args[name].FinalizeAll()
	}
	if err != nil {
		return Metrics{}, err
	}
	drop(m.grads)
	drop(m.last)
	var v []float64
	if err := try("read the metrics", func() { v = tensors.MustCopyFlatData[float64](out["out/metrics"]) }); err != nil {
		drop(out)
		return Metrics{}, err
	}
	mt := Metrics{Loss: v[0], LMLoss: v[1], QHaltLoss: v[2], QContinueLoss: v[3], Count: v[4], Accuracy: v[5],
		ExactAccuracy: v[6], QHaltAccuracy: v[7], Steps: v[8], Finite: finite(v[0]) && v[9] == 0}
	for name, t := range out {
		kind, rest := cutKind(name)
		switch {
		case kind == "out":
			m.last[rest] = t
		case !mt.Finite:
			_ = t.FinalizeAll()
		case kind == "carry":
			_ = m.state[name].FinalizeAll()
			m.state[name] = t
		case kind == "grad":
			m.grads[rest] = t
		}
	}
	return mt, nil
}

func cutKind(name string) (kind, rest string) {
	for i := range name {
		if name[i] == '/' {
			return name[:i], name[i+1:]
		}
	}
	return name, ""
}

func (m *Model) checkRows(inputs, labels []uint8, ids []int32) error {
	for i, v := range inputs {
		if int(v) >= m.cfg.VocabSize || int(labels[i]) >= m.cfg.VocabSize {
			return fmt.Errorf("row %d cell %d: input %d, label %d; the vocabulary has %d values", i/m.cfg.SeqLen, i%m.cfg.SeqLen, v, labels[i], m.cfg.VocabSize)
		}
	}
	for i, id := range ids {
		if id < 0 || int(id) >= m.cfg.NumPuzzleIdentifiers {
			return fmt.Errorf("row %d: puzzle id %d; the model has %d", i, id, m.cfg.NumPuzzleIdentifiers)
		}
	}
	return nil
}

type paramFunc = func(name string, dt tensor.DType, shape ...int) *Node

// declare makes graph parameters of the state's variables of one kind ("param/", "const/"...).
func (m *Model) declare(param paramFunc, kind string) map[string]*Node {
	nodes := map[string]*Node{}
	for _, v := range m.vars {
		if k, rest := cutKind(v.name); k == kind {
			nodes[rest] = param(v.name, v.dtype, v.shape...)
		}
	}
	return nodes
}

func (m *Model) gradientGraph(g *Graph, param paramFunc) (names []string, nodes []*Node) {
	c := m.cfg
	b := c.BatchSize
	out := func(name string, n *Node) { names, nodes = append(names, name), append(nodes, n) }
	params, consts, carry := m.declare(param, "param"), m.declare(param, "const"), m.declare(param, "carry")
	puzzles := m.declare(param, "puzzle_emb")["weights"]
	batch := map[string]*Node{
		"inputs": param("batch/inputs", tensor.U8, b, c.SeqLen), "labels": param("batch/labels", tensor.U8, b, c.SeqLen),
		"puzzle_ids": param("batch/puzzle_ids", tensor.I32, b)}
	minSteps := param("batch/min_steps", tensor.I32, b)

	halted := carry["halted"]
	pick := func(fresh, old *Node) *Node {
		dims := old.Shape().Dimensions
		shape := make([]int, len(dims))
		for i := range shape {
			shape[i] = 1
		}
		shape[0] = b
		return Where(BroadcastToDims(Reshape(halted, shape...), dims...), fresh, old)
	}
	start := func(name string, z *Node) *Node {
		v := ConvertDType(consts[name], z.DType())
		return pick(BroadcastToDims(Reshape(v, 1, 1, c.HiddenSize), z.Shape().Dimensions...), z)
	}
	zH, zL := start("H_init", carry["z_H"]), start("L_init", carry["z_L"])
	inputs, labels, ids := pick(batch["inputs"], carry["inputs"]), pick(batch["labels"], carry["labels"]), pick(batch["puzzle_ids"], carry["puzzle_ids"])
	steps := pick(ZerosLike(carry["steps"]), carry["steps"])

	var local *Node
	if puzzles != nil {
		local = dotSpec{bT: true}.apply(oneHot(ids, c.NumPuzzleIdentifiers, dtypes.Float32), puzzles)
	}
	w, cut := c.pieces(params)
	x := c.embed(w, inputs, local)
	newH, newL, logits, qHalt, qContinue := c.forward(w, zH, zL, x)

	steps = Add(steps, OnesLike(steps))
	last := GreaterOrEqual(steps, MulScalar(OnesLike(steps), int32(c.HaltMaxSteps)))
	newHalted := last
	var targetQ *Node
	if c.HaltMaxSteps > 1 {
		stop := GreaterThan(qHalt, ZerosLike(qHalt))
		if !c.NoACTContinue {
			stop = GreaterThan(qHalt, qContinue)
		}
		newHalted = LogicalAnd(LogicalOr(last, stop), GreaterOrEqual(steps, minSteps))
		if !c.NoACTContinue {
			_, _, _, nextHalt, nextContinue := c.forward(w, newH, newL, x)
			targetQ = StopGradient(Logistic(Where(last, nextHalt, Max(nextHalt, nextContinue))))
		}
	}
	loss := c.lossHead(logits, labels, qHalt, qContinue, targetQ, newHalted, steps)

	m.gradients(out, loss.total, cut, local)
	faulty := append(nodes[:len(nodes):len(nodes)], newH, newL) // zero times infinity is not a number
	for i, n := range faulty {
		faulty[i] = Reshape(ConvertDType(ReduceAllSum(MulScalar(ConvertDType(n, dtypes.Float32), 0)), dtypes.Float64), 1)
	}
	type output struct {
		name string
		n    *Node
	}
	outputs := []output{{"carry/z_H", newH}, {"carry/z_L", newL}, {"carry/steps", steps}, {"carry/halted", newHalted}, {"carry/inputs", inputs},
		{"carry/labels", labels}, {"carry/puzzle_ids", ids}}
	if m.keep {
		outputs = append(outputs, output{"out/logits", ConvertDType(logits, dtypes.Float32)}, output{"out/preds", loss.preds},
			output{"out/q_halt", qHalt}, output{"out/q_continue", qContinue})
	}
	for _, o := range outputs {
		out(o.name, o.n)
	}
	for i, n := range loss.metrics {
		loss.metrics[i] = Reshape(n, 1)
	}
	out("out/metrics", Concatenate(append(loss.metrics, Reshape(ReduceAllSum(Concatenate(faulty, 0)), 1)), 0))
	return names, nodes
}

// gradients adds the gradient of loss/global batch by every parameter, in float32.
func (m *Model) gradients(out func(string, *Node), total *Node, cut map[string][]*Node, local *Node) {
	var by []*Node
	if !m.cfg.FreezeWeights {
		for _, p := range m.cfg.Params() {
			by = append(by, cut[p.Name]...)
		}
	}
	if local != nil {
		by = append(by, local)
	}
	if len(by) == 0 {
		return
	}
	got := Gradient(MulScalar(total, 1/float64(m.cfg.GlobalBatchSize)), by...)
	if !m.cfg.FreezeWeights {
		for _, p := range m.cfg.Params() {
			n := len(cut[p.Name])
			grad := got[0]
			if n > 1 {
				grad = Concatenate(got[:n], 0)
			}
			out("grad/"+p.Name, grad)
			got = got[n:]
		}
	}
	if local != nil {
		out("grad/"+localGrad, got[0])
	}
}

// Apply updates the puzzle embedding (SignSGD), then the parameters (AdamATan2),
// then the EMA, in the memory of the old values: after an error of the backend the
// state is gone and Load comes next.
func (m *Model) Apply(step int64, lr, puzzleLR float64) error {
	if len(m.grads) == 0 && !(m.cfg.FreezeWeights && m.cfg.PuzzleEmbNDim == 0) {
		return errors.New("apply: no gradients; Gradients comes first")
	}
	if m.cfg.FreezeWeights && m.cfg.PuzzleEmbNDim == 0 {
		return nil
	}
	if step < 1 {
		return fmt.Errorf("apply: step %d; steps count from 1", step)
	}
	if m.applyX == nil {
		var err error
		if m.applyX, err = m.build("apply", m.applyGraph); err != nil {
			m.applyX = nil
			return err
		}
	}
	c := m.cfg
	args := maps.Clone(m.state)
	for name, t := range m.grads {
		args["grad/"+name] = t
	}
	scalars := map[string]float64{"keep": 1 - lr*c.WeightDecay, "rate": lr / (1 - math.Pow(c.Beta1, float64(step))),
		"root2": math.Sqrt(1 - math.Pow(c.Beta2, float64(step))), "puzzle_keep": 1 - puzzleLR*c.PuzzleEmbWeightDecay, "puzzle_lr": puzzleLR}
	for name, v := range scalars {
		args["scalar/"+name] = scalar(v)
	}
	out, err := m.run(m.applyX, args, func(name string) bool {
		kind, _ := cutKind(name)
		return kind != "carry"
	})
	drop(m.grads)
	if err != nil {
		drop(m.state)
		return err
	}
	for name, t := range out {
		_ = m.state[name].FinalizeAll()
		m.state[name] = t
	}
	return nil
}

func (m *Model) applyGraph(_ *Graph, param paramFunc) (names []string, nodes []*Node) {
	c := m.cfg
	out := func(name string, n *Node) { names, nodes = append(names, name), append(nodes, n) }
	if c.PuzzleEmbNDim > 0 {
		p := m.declare(param, "puzzle_emb")["weights"]
		g := param("grad/"+localGrad, tensor.F32, c.BatchSize, c.PuzzleEmbNDim)
		ids := param("carry/puzzle_ids", tensor.I32, c.BatchSize)
		out(puzzleEmb, signSGD(p, ids, g, param("scalar/puzzle_keep", tensor.F32), param("scalar/puzzle_lr", tensor.F32)))
	}
	if c.FreezeWeights {
		return names, nodes
	}
	keep, rate, root2 := param("scalar/keep", tensor.F32), param("scalar/rate", tensor.F32), param("scalar/root2", tensor.F32)
	for _, p := range c.Params() {
		at := func(kind string) *Node { return param(kind+p.Name, tensor.F32, p.Shape...) }
		w, m2, v2 := adamATan2(at("param/"), at("adam_m/"), at("adam_v/"), at("grad/"), keep, rate, root2, c.Beta1, c.Beta2)
		out("param/"+p.Name, w)
		out("adam_m/"+p.Name, m2)
		out("adam_v/"+p.Name, v2)
		if c.EMA {
			out("ema/"+p.Name, Add(MulScalar(w, 1-c.EMARate), MulScalar(at("ema/"), c.EMARate)))
		}
	}
	return names, nodes
}
