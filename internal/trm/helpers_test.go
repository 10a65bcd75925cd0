package trm

import (
	"errors"
	"slices"

	"trmsweep/internal/tensor"
)

// Eval is EvalWhile without a look.
func (m *Model) Eval(inputs, labels []uint8, ids []int32) (EvalRows, error) {
	return m.EvalWhile(func() error { return nil }, inputs, labels, ids)
}

// Config is the configuration that the model was made with.
func (m *Model) Config() Config { return m.cfg }

// LastGradients returns a copy of the gradients that Gradients left: one per parameter by its reference name, and of the puzzle embedding
// "puzzle_emb.local_weights" [B, ndim], or with several shards its sums and counts per id.
func (m *Model) LastGradients() (tensor.State, error) {
	s := tensor.State{}
	for _, a := range m.tree.grads {
		if err := m.copyOut(s, a); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// KeepOutputs makes the next steps keep what LastOutputs returns. A change compiles the gradients program again.
func (m *Model) KeepOutputs(on bool) {
	if m.keepOutputs != on {
		m.closeGradients()
		m.keepOutputs = on
	}
}

// LastOutputs returns logits [B, cells, vocabulary], preds, q_halt and q_continue of the last step; see KeepOutputs.
func (m *Model) LastOutputs() (tensor.State, error) {
	s := tensor.State{}
	for _, shard := range m.shards {
		if shard.gradients == nil || shard.gradients.own["out/logits"] == nil || shard.gradients.own["out/logits"].buf == nil {
			return nil, errors.New("no outputs: KeepOutputs and a step come first")
		}
		for name, a := range shard.gradients.own {
			if kind, _ := cutKind(name); kind != "out" {
				continue
			}
			if err := m.copyOut(s, a); err != nil {
				return nil, err
			}
		}
	}
	return s, nil
}

// copyOut copies an array that has values, under its name without the kind. Of several of one name, the rows follow each other.
func (m *Model) copyOut(to tensor.State, a *deviceBuffer) error {
	if a.buf == nil {
		return nil
	}
	fresh, err := toHost(m.dev, a)
	if err != nil {
		return err
	}
	_, name := cutKind(a.name)
	if before, ok := to[name]; ok {
		fresh.Shape[0] += before.Shape[0]
		fresh.Data = slices.Concat(before.Data, fresh.Data)
	}
	to[name] = fresh
	return nil
}

// toHost returns a copy of the values.
func toHost(d device, a *deviceBuffer) (tensor.Array, error) {
	t := tensor.Array{Shape: slices.Clone(a.shape.Dimensions), Data: make([]byte, a.shape.Memory())}
	for dt, g := range toGoMLX {
		if g == a.shape.DType {
			t.DType = dt
		}
	}
	return t, d.read(a, t.Data)
}
