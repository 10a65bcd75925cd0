package trm

import (
	"errors"
	"fmt"

	"github.com/gomlx/gomlx/pkg/core/dtypes"
	. "github.com/gomlx/gomlx/pkg/core/graph" //nolint:staticcheck // graphs read as formulas

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

// StepResult is what the host reads back of every step.
type StepResult struct {
	Loss   float64 // sum over the batch
	Finite bool    // the loss, every gradient's square and the new carry are
}

// Metrics are sums over the batch as in the reference. The accuracies and Steps
// count only the Count rows that halted in this step.
type Metrics struct {
	Loss, LMLoss, QHaltLoss, QContinueLoss        float64
	Count, Accuracy, ExactAccuracy, QHaltAccuracy float64
	Steps                                         float64
}

// Means are the losses per row of a batch of that many rows, and the accuracies and
// Steps per row that halted; those are 0 if none has. Count stays.
func (m Metrics) Means(rows int) Metrics {
	n, halted := float64(rows), max(m.Count, 1)
	return Metrics{
		Loss:          m.Loss / n,
		LMLoss:        m.LMLoss / n,
		QHaltLoss:     m.QHaltLoss / n,
		QContinueLoss: m.QContinueLoss / n,
		Count:         m.Count,
		Accuracy:      m.Accuracy / halted,
		ExactAccuracy: m.ExactAccuracy / halted,
		QHaltAccuracy: m.QHaltAccuracy / halted,
		Steps:         m.Steps / halted,
	}
}

const localGrad = "puzzle_emb.local_weights"

// Step is one supervision step and one optimizer step. A step that is not finite
// changes nothing. After an error from Apply the state is gone: Load comes next.
func (m *Model) Step(in StepInput) (StepResult, error) {
	res, err := m.Gradients(in)
	if err != nil || !res.Finite {
		return res, err
	}
	return res, m.Apply(in.Step, in.LR, in.PuzzleEmbLR)
}

// Gradients runs forward and backward, moves the carry on and leaves the gradients
// for Apply. If the step is not finite the carry stays and there are no gradients.
func (m *Model) Gradients(in StepInput) (StepResult, error) {
	c := m.cfg
	if !m.loaded {
		return StepResult{}, errNoState
	}
	b := c.BatchSize
	if in.MinSteps == nil {
		in.MinSteps = m.noMin
	}
	if len(in.Inputs) != b*c.SeqLen || len(in.Labels) != b*c.SeqLen || len(in.PuzzleIDs) != b || len(in.MinSteps) != b {
		return StepResult{}, fmt.Errorf("batch of %d inputs, %d labels, %d ids, %d least steps; the model takes %d rows of %d cells",
			len(in.Inputs), len(in.Labels), len(in.PuzzleIDs), len(in.MinSteps), b, c.SeqLen)
	}
	if err := m.checkRows(in.Inputs, in.Labels, in.PuzzleIDs); err != nil {
		return StepResult{}, err
	}
	if err := m.gradientProgram(); err != nil {
		return StepResult{}, err
	}
	own := m.gradX.own
	if err := errors.Join(feed(m.dev, own["batch/inputs"], in.Inputs), feed(m.dev, own["batch/labels"], in.Labels),
		feed(m.dev, own["batch/puzzle_ids"], in.PuzzleIDs), feed(m.dev, own["batch/min_steps"], in.MinSteps)); err != nil {
		return StepResult{}, fmt.Errorf("feed the batch: %w", err)
	}
	m.applied = true
	if err := m.spareCarry(); err != nil {
		return StepResult{}, err
	}
	if err := m.dev.run(m.gradX); err != nil {
		return StepResult{}, err
	}
	res, err := m.readResult(own["out/loss"])
	if err == nil && res.Finite {
		m.moveCarry()
		m.applied = false
		return res, nil
	}
	for _, a := range m.gradX.outputs {
		if kind, _ := cutKind(a.name); kind != "out" {
			m.dev.drop(a)
		}
	}
	return res, err
}

// moveCarry makes the carry of the step that has just run the state's. The step does not get it as donation, since one
// that is not finite has to leave it. Where results alias inputs there are two carries in turn: a step writes into the one before its own.
func (m *Model) moveCarry() {
	for _, c := range m.moves {
		if m.dev.aliases {
			c.to.buf, c.from.buf = c.from.buf, c.to.buf
			continue
		}
		m.dev.drop(c.to)
		c.to.buf, c.from.buf = c.from.buf, nil
		c.to.spent, c.from.spent = nil, c.to.spent
	}
}

// spareCarry makes the memory that a step writes the new carry into, where there is none left of an earlier one.
func (m *Model) spareCarry() error {
	if !m.dev.aliases {
		return nil
	}
	for _, c := range m.moves {
		if c.from.buf != nil {
			continue
		}
		if err := m.dev.load(c.from, nil); err != nil {
			return fmt.Errorf("make %q: %w", c.from.name, err)
		}
	}
	return nil
}

func spentByGradients(name string) bool {
	kind, _ := cutKind(name)
	return kind == "next"
}

// readResult reads the one number of every step: the loss, or NaN if anything of the step is not finite.
func (m *Model) readResult(a *held) (StepResult, error) {
	if err := m.dev.BufferToFlatData(a.buf, m.loss); err != nil {
		return StepResult{}, fmt.Errorf("read the loss: %w", err)
	}
	if v := m.loss.([]float64)[0]; finite(v) {
		return StepResult{Loss: v, Finite: true}, nil
	}
	mt, err := m.Metrics()
	return StepResult{Loss: mt.Loss}, err
}

// numMetrics is the length of the metrics' array.
const numMetrics = 9

// Metrics reads the metrics of the last step. They stay on the device until the next one.
func (m *Model) Metrics() (Metrics, error) {
	if m.gradX == nil || m.gradX.own["out/metrics"].buf == nil {
		return Metrics{}, errors.New("no metrics: a step comes first")
	}
	if err := m.dev.BufferToFlatData(m.gradX.own["out/metrics"].buf, m.metrics); err != nil {
		return Metrics{}, fmt.Errorf("read the metrics: %w", err)
	}
	v := m.metrics.([]float64)
	return Metrics{Loss: v[0], LMLoss: v[1], QHaltLoss: v[2], QContinueLoss: v[3], Count: v[4], Accuracy: v[5],
		ExactAccuracy: v[6], QHaltAccuracy: v[7], Steps: v[8]}, nil
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

	if m.dev.aliases { // the memory of the new carry
		for _, v := range m.vars {
			if kind, rest := cutKind(v.name); kind == "carry" {
				param("next/"+rest, v.dtype, v.shape...)
			}
		}
	}

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
	// Zero times infinity is not a number. Of gradients the squares count: infinite ones would spoil the second moment for good.
	var faulty []*Node
	notFinite := func(n *Node) {
		faulty = append(faulty, Reshape(ConvertDType(ReduceAllSum(MulScalar(n, 0)), dtypes.Float64), 1))
	}
	for _, grad := range nodes {
		notFinite(Mul(grad, grad))
	}
	notFinite(ConvertDType(newH, dtypes.Float32))
	notFinite(ConvertDType(newL, dtypes.Float32))
	type output struct {
		name string
		n    *Node
	}
	outputs := []output{{"next/z_H", newH}, {"next/z_L", newL}, {"next/steps", steps}, {"next/halted", newHalted}, {"next/inputs", inputs},
		{"next/labels", labels}, {"next/puzzle_ids", ids}}
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
	out("out/metrics", Concatenate(loss.metrics, 0))
	out("out/loss", Reshape(Add(loss.total, ReduceAllSum(Concatenate(faulty, 0))), 1)) // the faulty add zero or NaN
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
