package trm

import (
	"errors"
	"fmt"
	"math"
)

// StepInput is one batch. Inputs and Labels are [B*cells] data-set values. MinSteps is nil or has the least number of supervision steps
// per slot. Step counts from 1.
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

// Metrics are sums over the batch, as in the reference. The accuracies and Steps count only the Count rows that halted in this step.
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

// Step is one supervision step and one optimizer step. A step that is not finite changes nothing. After an error of Apply the state is
// gone, and Load comes next.
func (m *Model) Step(in StepInput) (StepResult, error) {
	res, err := m.Gradients(in)
	if err != nil || !res.Finite {
		return res, err
	}
	return res, m.Apply(in.Step, in.LR, in.PuzzleEmbLR)
}

// Gradients runs forward and backward, moves the carry on and leaves the gradients for Apply. If the step is not finite, the carry stays
// and there are no gradients.
func (m *Model) Gradients(in StepInput) (StepResult, error) {
	if !m.loaded {
		return StepResult{}, errNoState
	}
	if in.MinSteps == nil {
		in.MinSteps = m.noMinSteps
	}
	if err := m.checkBatch(in); err != nil {
		return StepResult{}, err
	}
	if m.gradients == nil {
		if err := m.compile(m.gradientsRecipe()); err != nil {
			return StepResult{}, err
		}
	}
	if err := m.feedBatch(in); err != nil {
		return StepResult{}, fmt.Errorf("feed the batch: %w", err)
	}
	m.hasGradients = false
	if err := m.makeNextCarry(); err != nil {
		return StepResult{}, err
	}
	if err := m.dev.run(m.gradients); err != nil {
		return StepResult{}, err
	}
	res, err := m.readResult(m.gradients.own["out/loss"])
	if err == nil && res.Finite {
		m.commitCarry()
		m.hasGradients = true
		return res, nil
	}
	for _, a := range m.gradients.outputs {
		if kind, _ := cutKind(a.name); kind != "out" {
			m.dev.drop(a)
		}
	}
	return res, err
}

// checkBatch refuses a batch that the model would read beyond its arrays or tables.
func (m *Model) checkBatch(in StepInput) error {
	b, cells := m.cfg.BatchSize, m.cfg.BatchSize*m.cfg.SeqLen
	if len(in.Inputs) != cells || len(in.Labels) != cells || len(in.PuzzleIDs) != b || len(in.MinSteps) != b {
		return fmt.Errorf("batch of %d inputs, %d labels, %d ids, %d least steps; the model takes %d rows of %d cells",
			len(in.Inputs), len(in.Labels), len(in.PuzzleIDs), len(in.MinSteps), b, m.cfg.SeqLen)
	}
	return m.checkRows(in.Inputs, in.Labels, in.PuzzleIDs)
}

func (m *Model) feedBatch(in StepInput) error {
	own := m.gradients.own
	return errors.Join(
		feed(m.dev, own["batch/inputs"], in.Inputs),
		feed(m.dev, own["batch/labels"], in.Labels),
		feed(m.dev, own["batch/puzzle_ids"], in.PuzzleIDs),
		feed(m.dev, own["batch/min_steps"], in.MinSteps))
}

// commitCarry makes the new carry of a finite step the state's. If results alias inputs, the two buffers swap: the next step writes into
// the carry before its own.
func (m *Model) commitCarry() {
	for _, c := range m.carries {
		if m.gradients.aliases {
			c.current.buf, c.next.buf = c.next.buf, c.current.buf
			continue
		}
		m.dev.drop(c.current)
		c.current.buf, c.next.buf = c.next.buf, nil
		c.current.spare, c.next.spare = nil, c.current.spare
	}
}

// makeNextCarry makes the memory that a step writes the new carry into, if results alias inputs and no earlier step has left it.
func (m *Model) makeNextCarry() error {
	if !m.gradients.aliases {
		return nil
	}
	for _, c := range m.carries {
		if c.next.buf != nil {
			continue
		}
		if err := m.dev.load(c.next, nil); err != nil {
			return fmt.Errorf("make %q: %w", c.next.name, err)
		}
	}
	return nil
}

// readResult reads the one number of every step: the loss, or NaN if anything of the step is not finite.
func (m *Model) readResult(a *deviceBuffer) (StepResult, error) {
	if err := m.dev.BufferToFlatData(a.buf, m.loss); err != nil {
		return StepResult{}, fmt.Errorf("read the loss: %w", err)
	}
	if v := m.loss.([]float64)[0]; finite(v) {
		return StepResult{Loss: v, Finite: true}, nil
	}
	mt, err := m.Metrics()
	return StepResult{Loss: mt.Loss}, err
}

// Metrics reads the metrics of the last step. They stay on the device until the next one.
func (m *Model) Metrics() (Metrics, error) {
	if m.gradients == nil || m.gradients.own["out/metrics"].buf == nil {
		return Metrics{}, errors.New("no metrics: a step comes first")
	}
	if err := m.dev.BufferToFlatData(m.gradients.own["out/metrics"].buf, m.metrics); err != nil {
		return Metrics{}, fmt.Errorf("read the metrics: %w", err)
	}
	v := m.metrics.([]float64)
	return Metrics{
		Loss:          v[0],
		LMLoss:        v[1],
		QHaltLoss:     v[2],
		QContinueLoss: v[3],
		Count:         v[4],
		Accuracy:      v[5],
		ExactAccuracy: v[6],
		QHaltAccuracy: v[7],
		Steps:         v[8],
	}, nil
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// checkRows refuses cells outside of the vocabulary and unknown puzzles.
func (m *Model) checkRows(inputs, labels []uint8, ids []int32) error {
	for i, v := range inputs {
		if int(v) >= m.cfg.VocabSize || int(labels[i]) >= m.cfg.VocabSize {
			return fmt.Errorf("row %d cell %d: input %d, label %d; the vocabulary has %d values",
				i/m.cfg.SeqLen, i%m.cfg.SeqLen, v, labels[i], m.cfg.VocabSize)
		}
	}
	for i, id := range ids {
		if id < 0 || int(id) >= m.cfg.NumPuzzleIdentifiers {
			return fmt.Errorf("row %d: puzzle id %d; the model has %d", i, id, m.cfg.NumPuzzleIdentifiers)
		}
	}
	return nil
}
