package trm

import (
	"fmt"
	"maps"

	"github.com/gomlx/gomlx/pkg/core/dtypes"
	. "github.com/gomlx/gomlx/pkg/core/graph" //nolint:staticcheck // graphs read as formulas
	"github.com/gomlx/gomlx/pkg/core/tensors"

	"trmsweep/internal/tensor"
)

// EvalRows are the results of the rows of one batch.
type EvalRows struct {
	Correct, Cells []int32   // cells right, cells counted
	Exact          []bool    // every counted cell is right
	QHalt          []float32 // the q head's logit: >= 0 says "solved"
}

// Eval makes halt_max_steps supervision steps from a fresh carry with the EMA
// weights (where EMA is on) and the live puzzle embedding. The number of rows
// is free; each number is compiled once.
func (m *Model) Eval(inputs, labels []uint8, ids []int32) (EvalRows, error) {
	c := m.cfg
	n := len(ids)
	if len(m.state) == 0 {
		return EvalRows{}, errNoState
	}
	if n == 0 || len(inputs) != n*c.SeqLen || len(labels) != n*c.SeqLen {
		return EvalRows{}, fmt.Errorf("evaluate: %d ids, %d inputs, %d labels for rows of %d cells", n, len(inputs), len(labels), c.SeqLen)
	}
	if err := m.checkRows(inputs, labels, ids); err != nil {
		return EvalRows{}, fmt.Errorf("evaluate: %w", err)
	}
	p := m.evalX[n]
	if p == nil {
		var err error
		if p, err = m.build("evaluate", m.evalGraph(n)); err != nil {
			return EvalRows{}, err
		}
		m.evalX[n] = p
	}
	args := maps.Clone(m.state)
	batch := map[string]*tensors.Tensor{"batch/inputs": tensors.FromFlatDataAndDimensions(inputs, n, c.SeqLen),
		"batch/puzzle_ids": tensors.FromFlatDataAndDimensions(ids, n)}
	defer drop(batch)
	maps.Copy(args, batch)
	z := zeros(tensor.F32, n, c.Length(), c.HiddenSize)
	if c.ForwardDType == "bfloat16" {
		z = zeros(tensor.BF16, n, c.Length(), c.HiddenSize)
	}
	own := map[string]*tensors.Tensor{}
	defer func() { drop(own) }()
	for _, name := range []string{"z_H", "z_L"} {
		t, err := fromHost(z)
		if err != nil {
			return EvalRows{}, err
		}
		own[name] = t
	}
	for step := range c.HaltMaxSteps {
		args["fresh"] = tensors.FromScalar(step == 0)
		args["z_H"], args["z_L"] = own["z_H"], own["z_L"]
		out, err := m.run(p, args, func(name string) bool { return name == "z_H" || name == "z_L" || name == "fresh" })
		if err != nil {
			return EvalRows{}, err
		}
		drop(own)
		own = out
	}
	var preds []int32
	rows := EvalRows{Correct: make([]int32, n), Cells: make([]int32, n), Exact: make([]bool, n)}
	err := try("read the predictions", func() {
		preds = tensors.MustCopyFlatData[int32](own["preds"])
		rows.QHalt = tensors.MustCopyFlatData[float32](own["q_halt"])
	})
	if err != nil {
		return EvalRows{}, err
	}
	for i, label := range labels {
		if label == 0 {
			continue
		}
		rows.Cells[i/c.SeqLen]++
		if preds[i] == int32(label) {
			rows.Correct[i/c.SeqLen]++
		}
	}
	for i := range n {
		rows.Exact[i] = rows.Correct[i] == rows.Cells[i]
	}
	return rows, nil
}

func (m *Model) evalGraph(n int) func(*Graph, paramFunc) ([]string, []*Node) {
	c := m.cfg
	return func(_ *Graph, param paramFunc) ([]string, []*Node) {
		kind := "param"
		if c.EMA {
			kind = "ema"
		}
		params, consts := m.declare(param, kind), m.declare(param, "const")
		puzzles := m.declare(param, "puzzle_emb")["weights"]
		inputs, ids := param("batch/inputs", tensor.U8, n, c.SeqLen), param("batch/puzzle_ids", tensor.I32, n)
		fresh := param("fresh", tensor.Bool)
		zdt := tensor.F32
		if c.ForwardDType == "bfloat16" {
			zdt = tensor.BF16
		}
		start := func(name, init string) *Node {
			z := param(name, zdt, n, c.Length(), c.HiddenSize)
			v := BroadcastToDims(Reshape(ConvertDType(consts[init], z.DType()), 1, 1, c.HiddenSize), z.Shape().Dimensions...)
			return Where(BroadcastToDims(Reshape(fresh, 1, 1, 1), z.Shape().Dimensions...), v, z)
		}
		zH, zL := start("z_H", "H_init"), start("z_L", "L_init")
		var local *Node
		if puzzles != nil {
			local = dotSpec{bT: true}.apply(oneHot(ids, c.NumPuzzleIdentifiers, dtypes.Float32), puzzles)
		}
		w, _ := c.pieces(params)
		newH, newL, logits, qHalt, _ := c.forward(w, zH, zL, c.embed(w, inputs, local))
		return []string{"z_H", "z_L", "preds", "q_halt"}, []*Node{newH, newL, ArgMax(logits, -1, dtypes.Int32), qHalt}
	}
}
