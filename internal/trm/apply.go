package trm

import (
	"errors"
	"fmt"
	"math"

	. "github.com/gomlx/gomlx/pkg/core/graph" //nolint:staticcheck // graphs read as formulas

	"trmsweep/internal/tensor"
)

// Apply updates the puzzle embedding (SignSGD), then the parameters (AdamATan2),
// then the EMA, in the memory of the old values: after an error of the backend the
// state is gone and Load comes next.
func (m *Model) Apply(step int64, lr, puzzleLR float64) error {
	if m.nothingToApply() {
		return nil
	}
	if m.applied {
		return errors.New("apply: no gradients; Gradients comes first")
	}
	if step < 1 {
		return fmt.Errorf("apply: step %d; steps count from 1", step)
	}
	if err := m.applyProgram(); err != nil {
		return err
	}
	if err := m.feedRates(step, lr, puzzleLR); err != nil {
		return err
	}
	m.applied = true
	if err := m.dev.run(m.applyX); err != nil {
		m.loaded = false
		m.dropGradients()
		m.dev.drop(m.state...)
		return err
	}
	return nil
}

func spentByApply(name string) bool {
	kind, _ := cutKind(name)
	return kind != "carry" && kind != "scalar"
}

func (m *Model) feedRates(step int64, lr, puzzleLR float64) error {
	c := m.cfg
	for _, a := range m.applyX.inputs {
		switch a.name {
		case "scalar/keep":
			m.one[0] = float32(1 - lr*c.WeightDecay)
		case "scalar/rate":
			m.one[0] = float32(lr / (1 - math.Pow(c.Beta1, float64(step))))
		case "scalar/root2":
			m.one[0] = float32(math.Sqrt(1 - math.Pow(c.Beta2, float64(step))))
		case "scalar/puzzle_keep":
			m.one[0] = float32(1 - puzzleLR*c.PuzzleEmbWeightDecay)
		case "scalar/puzzle_lr":
			m.one[0] = float32(puzzleLR)
		default:
			continue
		}
		if err := feed(m.dev, a, m.one); err != nil {
			return fmt.Errorf("feed %s: %w", a.name, err)
		}
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
