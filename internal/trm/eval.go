package trm

import (
	"errors"
	"fmt"

	"github.com/gomlx/gomlx/pkg/core/dtypes"
	. "github.com/gomlx/gomlx/pkg/core/graph" //nolint:staticcheck // graphs read as formulas

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
	return m.EvalWhile(func() error { return nil }, inputs, labels, ids)
}

// EvalWhile is Eval that asks look before every supervision step, and ends with its error.
func (m *Model) EvalWhile(look func() error, inputs, labels []uint8, ids []int32) (EvalRows, error) {
	c := m.cfg
	n := len(ids)
	if !m.loaded {
		return EvalRows{}, errNoState
	}
	if n == 0 || len(inputs) != n*c.SeqLen || len(labels) != n*c.SeqLen {
		return EvalRows{}, fmt.Errorf("evaluate: %d ids, %d inputs, %d labels for rows of %d cells", n, len(inputs), len(labels), c.SeqLen)
	}
	if err := m.checkRows(inputs, labels, ids); err != nil {
		return EvalRows{}, fmt.Errorf("evaluate: %w", err)
	}
	p, err := m.evalProgram(n)
	if err != nil {
		return EvalRows{}, err
	}
	preds := make([]int32, n*c.SeqLen)
	rows := EvalRows{Correct: make([]int32, n), Cells: make([]int32, n), Exact: make([]bool, n), QHalt: make([]float32, n)}
	if err := m.supervise(look, p, inputs, ids, preds, rows.QHalt); err != nil {
		return EvalRows{}, fmt.Errorf("evaluate: %w", err)
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

// supervise makes the supervision steps of an evaluation and reads what the last one says.
func (m *Model) supervise(look func() error, p *program, inputs []uint8, ids []int32, preds []int32, qHalt []float32) error {
	defer func() {
		for _, a := range p.own {
			m.dev.drop(a)
		}
	}()
	if err := errors.Join(feed(m.dev, p.own["batch/inputs"], inputs), feed(m.dev, p.own["batch/puzzle_ids"], ids)); err != nil {
		return err
	}
	for _, name := range []string{"z_H", "z_L"} {
		if err := m.dev.load(p.own[name], nil); err != nil {
			return err
		}
	}
	for step := range m.cfg.HaltMaxSteps {
		if err := look(); err != nil {
			return err
		}
		if err := feed(m.dev, p.own["fresh"], []bool{step == 0}); err != nil {
			return err
		}
		if err := m.dev.run(p); err != nil {
			return err
		}
	}
	return errors.Join(m.dev.BufferToFlatData(p.own["preds"].buf, preds), m.dev.BufferToFlatData(p.own["q_halt"].buf, qHalt))
}

func spentByEval(name string) bool { return name == "z_H" || name == "z_L" }

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
		return []string{"z_H", "z_L", "preds", "q_halt"}, []*Node{newH, newL, argMax(logits), qHalt}
	}
}
