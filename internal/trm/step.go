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
	if m.shards[0].gradients == nil {
		if err := m.compile(m.gradientsRecipe()); err != nil {
			return StepResult{}, err
		}
	}
	if m.tree.add == nil && m.tree.adds() {
		if err := m.compile(m.addRecipe()); err != nil {
			return StepResult{}, err
		}
	}
	m.hasGradients = false
	err := m.compute(in)
	var res StepResult
	if err == nil {
		res, err = m.agree()
	}
	if err == nil && res.Finite {
		m.commit()
		return res, nil
	}
	m.dropNext()
	m.dropGradients()
	return res, err
}

// compute runs the gradients program for every shard and adds the gradients. Nothing of it is valid before all have agreed.
func (m *Model) compute(in StepInput) error {
	for k := range m.shards {
		s := &m.shards[k]
		if err := m.feedShard(s, k, in); err != nil {
			return fmt.Errorf("feed the batch: %w", err)
		}
		if err := m.makeNextCarry(s); err != nil {
			return err
		}
		if err := m.dev.run(s.gradients); err != nil {
			return err
		}
		if err := m.addShard(k); err != nil {
			return err
		}
	}
	return nil
}

// agree reads one number of every shard, the loss, and one of the last addition of gradients. Each is NaN if anything that it was
// computed with is not finite.
func (m *Model) agree() (res StepResult, err error) {
	for k := range m.shards {
		if m.losses[k], err = m.readNumber(m.shards[k].gradients.own["out/loss"]); err != nil {
			return res, fmt.Errorf("read the loss: %w", err)
		}
	}
	v := treeSum(m.losses, func(a, b float64) float64 { return a + b })
	if m.tree.add != nil {
		zero, err := m.readNumber(m.tree.add.own["out/not_finite"])
		if err != nil {
			return res, fmt.Errorf("read whether the gradients are finite: %w", err)
		}
		v += zero
	}
	if finite(v) {
		return StepResult{Loss: v, Finite: true}, nil
	}
	mt, err := m.Metrics()
	return StepResult{Loss: mt.Loss}, err
}

// commit makes the new carry of every shard the state's.
func (m *Model) commit() {
	for k := range m.shards {
		m.commitCarry(&m.shards[k])
	}
	m.hasGradients = true
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

// feedShard gives the gradients program the rows of shard k.
func (m *Model) feedShard(s *shard, k int, in StepInput) error {
	own, rows := s.gradients.own, m.cfg.shardRows()
	from, to := k*rows, (k+1)*rows
	cells := m.cfg.SeqLen
	return errors.Join(
		feed(m.dev, own["batch/inputs"], in.Inputs[from*cells:to*cells]),
		feed(m.dev, own["batch/labels"], in.Labels[from*cells:to*cells]),
		feed(m.dev, own["batch/puzzle_ids"], in.PuzzleIDs[from:to]),
		feed(m.dev, own["batch/min_steps"], in.MinSteps[from:to]))
}

// commitCarry makes the new carry of a shard the state's. If results alias inputs, the two buffers swap: the next step writes into
// the carry before its own.
func (m *Model) commitCarry(s *shard) {
	for _, c := range s.carries {
		if s.gradients.aliases {
			c.current.buf, c.next.buf = c.next.buf, c.current.buf
			continue
		}
		m.dev.drop(c.current)
		c.current.buf, c.next.buf = c.next.buf, nil
		c.current.spare, c.next.spare = nil, c.current.spare
	}
}

// makeNextCarry makes the memory that a step writes the new carry into, if results alias inputs and no earlier step has left it.
func (m *Model) makeNextCarry(s *shard) error {
	if !s.gradients.aliases {
		return nil
	}
	for _, c := range s.carries {
		if c.next.buf != nil {
			continue
		}
		if err := m.dev.load(c.next, nil); err != nil {
			return fmt.Errorf("make %q: %w", c.next.name, err)
		}
	}
	return nil
}

// readNumber reads an array of one number.
func (m *Model) readNumber(a *deviceBuffer) (float64, error) {
	err := m.dev.BufferToFlatData(a.buf, m.loss)
	return m.loss.([]float64)[0], err
}

// Metrics reads the metrics of the last step. They stay on the device until the next one.
func (m *Model) Metrics() (Metrics, error) {
	for k, s := range m.shards {
		if s.gradients == nil || s.gradients.own["out/metrics"].buf == nil {
			return Metrics{}, errors.New("no metrics: a step comes first")
		}
		if err := m.dev.BufferToFlatData(s.gradients.own["out/metrics"].buf, m.metrics); err != nil {
			return Metrics{}, fmt.Errorf("read the metrics: %w", err)
		}
		v := m.metrics.([]float64)
		m.ofShards[k] = Metrics{
			Loss:          v[0],
			LMLoss:        v[1],
			QHaltLoss:     v[2],
			QContinueLoss: v[3],
			Count:         v[4],
			Accuracy:      v[5],
			ExactAccuracy: v[6],
			QHaltAccuracy: v[7],
			Steps:         v[8],
		}
	}
	return treeSum(m.ofShards, Metrics.plus), nil
}

func (m Metrics) plus(n Metrics) Metrics {
	return Metrics{
		Loss:          m.Loss + n.Loss,
		LMLoss:        m.LMLoss + n.LMLoss,
		QHaltLoss:     m.QHaltLoss + n.QHaltLoss,
		QContinueLoss: m.QContinueLoss + n.QContinueLoss,
		Count:         m.Count + n.Count,
		Accuracy:      m.Accuracy + n.Accuracy,
		ExactAccuracy: m.ExactAccuracy + n.ExactAccuracy,
		QHaltAccuracy: m.QHaltAccuracy + n.QHaltAccuracy,
		Steps:         m.Steps + n.Steps,
	}
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
