package trm

import (
	"errors"
	"fmt"
)

// EvalRows are the results of the rows of one batch.
type EvalRows struct {
	Correct, Cells []int32   // cells right, cells counted
	Exact          []bool    // every counted cell is right
	QHalt          []float32 // the q head's logit: >= 0 says "solved"
}

// EvalWhile makes halt_max_steps supervision steps from a fresh carry with the EMA weights, or the live ones without EMA, and the live
// puzzle embedding. The number of rows is free; each number is compiled once. EvalWhile calls look before every supervision step and ends
// with its error.
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
	if m.evals[n] == nil {
		if err := m.compile(m.evalRecipe(n)); err != nil {
			return EvalRows{}, err
		}
	}
	preds := make([]int32, n*c.SeqLen)
	rows := EvalRows{Correct: make([]int32, n), Cells: make([]int32, n), Exact: make([]bool, n), QHalt: make([]float32, n)}
	if err := m.supervise(look, m.evals[n], inputs, ids, preds, rows.QHalt); err != nil {
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

// supervise makes the supervision steps of an evaluation and reads the results of the last one.
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
