package trm

import (
	"errors"

	"trmsweep/internal/tensor"
)

// Eval is EvalWhile without a look.
func (m *Model) Eval(inputs, labels []uint8, ids []int32) (EvalRows, error) {
	return m.EvalWhile(func() error { return nil }, inputs, labels, ids)
}

// Config is the configuration that the model was made with.
func (m *Model) Config() Config { return m.cfg }

// LastGradients returns a copy of the gradients that Gradients left: one per parameter by its reference name, and
// "puzzle_emb.local_weights" [B, ndim].
func (m *Model) LastGradients() (tensor.State, error) { return m.copyOut(m.arrays, "grad") }

// KeepOutputs makes the next steps keep what LastOutputs returns. A change compiles the gradients program again.
func (m *Model) KeepOutputs(on bool) {
	if m.keepOutputs != on {
		m.dev.close(m.gradients)
		m.gradients = nil
	}
	m.keepOutputs = on
}

// LastOutputs returns logits [B, cells, vocabulary], preds, q_halt and q_continue of the last step; see KeepOutputs.
func (m *Model) LastOutputs() (tensor.State, error) {
	if m.gradients == nil || m.gradients.own["out/logits"] == nil || m.gradients.own["out/logits"].buf == nil {
		return nil, errors.New("no outputs: KeepOutputs and a step come first")
	}
	return m.copyOut(m.gradients.own, "out")
}

// copyOut copies the arrays of one kind that have values, under the rest of their names.
func (m *Model) copyOut(from map[string]*deviceBuffer, kind string) (tensor.State, error) {
	s := tensor.State{}
	for name, a := range from {
		k, rest := cutKind(name)
		if k != kind || a.buf == nil {
			continue
		}
		t, err := m.dev.toHost(a)
		if err != nil {
			return nil, err
		}
		s[rest] = t
	}
	return s, nil
}
