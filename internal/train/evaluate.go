package train

import (
	"context"
	"fmt"
	"slices"

	"trmsweep/internal/protocol"
	"trmsweep/internal/tfevents"
	"trmsweep/internal/trm"
)

// evalKey names an evaluation of this process: the step whose weights were used and the number of puzzles.
type evalKey struct {
	step    int64
	puzzles int
}

// evalRows is one evaluation: its summary, and which puzzles were solved, in order of the subset.
type evalRows struct {
	protocol.Eval
	exact []bool
}

// evalDue: evaluations fall at the end of every iteration of the data (the reference's eval_interval) and at the last step.
func (r *run) evalDue() bool {
	if r.step == 0 {
		return false
	}
	return r.step%r.spec.StepsPerEval() == 0 || r.step == r.total
}

// evaluated says whether this step has its evaluation. If a notice comes during an evaluation, the step is
// committed without it, and the next attempt makes up for it.
func (r *run) evaluated() bool {
	return slices.ContainsFunc(r.meta.Evals, func(e protocol.Eval) bool { return e.Step == r.step })
}

// evalStep evaluates on the fixed subset, and commits the step if it is the best so far.
func (r *run) evalStep(ctx context.Context) error {
	rows, err := r.evaluate(ctx, r.model, r.step, r.spec.EvalPuzzles)
	if err != nil {
		return err
	}
	best := r.meta.BestStep == 0 || rows.ExactAccuracy > r.meta.BestExactAccuracy
	if best {
		r.meta.BestExactAccuracy, r.meta.BestStep = rows.ExactAccuracy, r.step
	}
	r.meta.Evals = append(r.meta.Evals, rows.Eval)
	r.log.eval(r.step, rows.Eval, r.o.Now(),
		tfevents.Scalar{Tag: "test/puzzles", Value: float64(rows.Puzzles)}, // of which the others are
		tfevents.Scalar{Tag: "test/exact_accuracy", Value: rows.ExactAccuracy},
		tfevents.Scalar{Tag: "test/accuracy", Value: rows.CellAccuracy},
		tfevents.Scalar{Tag: "test/q_halt_accuracy", Value: rows.QHaltAccuracy})
	r.events.progress(r.tellBest)
	r.events.event(protocol.Event{Type: protocol.EventEval, Step: r.step, ExactAccuracy: rows.ExactAccuracy, CellAccuracy: rows.CellAccuracy,
		Puzzles: rows.Puzzles})
	r.state(protocol.StateTraining)
	if !best {
		return nil
	}
	r.state(protocol.StateSaving)
	defer r.state(protocol.StateTraining)
	if err := r.drain(ctx); err != nil {
		return err
	}
	return r.startSave()
}

// tellBest puts the best evaluation so far into an event.
func (r *run) tellBest(e *protocol.Event) {
	for _, eval := range r.meta.Evals {
		if eval.Step == r.meta.BestStep {
			e.BestExactAccuracy = eval.ExactAccuracy
			e.BestPuzzles = eval.Puzzles
		}
	}
}

// evalSubset is the fixed choice of n test puzzles: evenly spaced, all of them for n = 0.
func evalSubset(rows, n int) []int {
	if n <= 0 || n > rows {
		n = rows
	}
	out := make([]int, n)
	for i := range out {
		out[i] = int(int64(i) * int64(rows) / int64(n))
	}
	return out
}

// goOn is the reason to stop work that can be repeated later, nil if nothing says so.
func (r *run) goOn(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if r.noticed() {
		return errNotice
	}
	return nil
}

// evaluate runs the model, with the weights that evaluation uses, on n test puzzles (0 = all).
// An evaluation of the same weights that this process has made already is not repeated.
func (r *run) evaluate(ctx context.Context, m *trm.Model, step int64, n int) (evalRows, error) {
	subset := evalSubset(r.test.Rows(), n)
	key := evalKey{step, len(subset)}
	if rows, ok := r.rows[key]; ok {
		return rows, nil
	}
	r.state(protocol.StateEvaluating)
	size := r.spec.EvalBatchSize
	inputs, labels, ids := make([]uint8, size*trm.SeqLen), make([]uint8, size*trm.SeqLen), make([]int32, size)
	rows := evalRows{exact: make([]bool, 0, len(subset))}
	var cells, correct, exact, qRight int64
	for begin := 0; begin < len(subset); begin += size {
		batch := subset[begin:min(begin+size, len(subset))]
		clear(inputs) // the rows past the end are padding, and are not counted
		clear(labels)
		clear(ids)
		for i, row := range batch {
			ids[i] = r.test.Row(row, inputs[i*trm.SeqLen:(i+1)*trm.SeqLen], labels[i*trm.SeqLen:(i+1)*trm.SeqLen])
		}
		out, err := m.EvalWhile(func() error { return r.goOn(ctx) }, inputs, labels, ids)
		if err != nil && r.goOn(ctx) != nil {
			return evalRows{}, r.goOn(ctx)
		}
		if err != nil {
			return evalRows{}, fmt.Errorf("evaluate step %d: %w", step, err)
		}
		for i := range batch {
			cells += int64(out.Cells[i])
			correct += int64(out.Correct[i])
			if out.Exact[i] {
				exact++
			}
			if (out.QHalt[i] >= 0) == out.Exact[i] {
				qRight++
			}
			rows.exact = append(rows.exact, out.Exact[i])
		}
		r.events.progress(func(e *protocol.Event) { e.DonePuzzles, e.Puzzles = len(rows.exact), len(subset) })
	}
	puzzles := float64(max(1, len(subset)))
	rows.Eval = protocol.Eval{Step: step, Puzzles: len(subset), MeanSteps: float64(r.spec.HaltMaxSteps),
		ExactAccuracy: float64(exact) / puzzles, CellAccuracy: float64(correct) / float64(max(1, cells)),
		QHaltAccuracy: float64(qRight) / puzzles}
	r.rows[key] = rows
	return rows, nil
}
