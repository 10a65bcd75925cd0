package trm

import (
	. "github.com/gomlx/gomlx/pkg/core/graph" //nolint:staticcheck // graphs read as formulas

	"trmsweep/internal/tensor"
)

// applyGraph updates the puzzle embedding by SignSGD, the parameters by AdamATan2, and the EMA.
func (m *Model) applyGraph(_ *Graph, param paramFunc) (names []string, nodes []*Node) {
	c := m.cfg
	out := &namedOutputs{}
	if c.PuzzleEmbNDim > 0 {
		p := m.declare(param, "puzzle_emb")["weights"]
		var g, ids, sum, count *Node
		if c.shardCount() == 1 {
			g = param("grad/"+localGrad, tensor.F32, c.BatchSize, c.PuzzleEmbNDim)
			ids = param("carry/puzzle_ids", tensor.I32, c.BatchSize)
		} else {
			sum = param("grad/"+puzzleSum, tensor.F32, c.NumPuzzleIdentifiers, c.PuzzleEmbNDim)
			count = param("grad/"+idCount, tensor.F32, c.NumPuzzleIdentifiers)
		}
		keep, lr := param("scalar/puzzle_keep", tensor.F32), param("scalar/puzzle_lr", tensor.F32)
		if c.shardCount() == 1 {
			out.add(puzzleEmb, signSGD(p, ids, g, keep, lr))
		} else {
			out.add(puzzleEmb, signStep(p, sum, keep, lr, func() *Node { return count }))
		}
	}
	if c.FreezeWeights {
		return out.names, out.nodes
	}
	keep, rate, root2 := param("scalar/keep", tensor.F32), param("scalar/rate", tensor.F32), param("scalar/root2", tensor.F32)
	for _, p := range c.Params() {
		at := func(kind string) *Node { return param(kind+p.Name, tensor.F32, p.Shape...) }
		w, m2, v2 := adamATan2(at("param/"), at("adam_m/"), at("adam_v/"), at("grad/"), keep, rate, root2, c.Beta1, c.Beta2)
		out.add("param/"+p.Name, w)
		out.add("adam_m/"+p.Name, m2)
		out.add("adam_v/"+p.Name, v2)
		if c.EMA {
			out.add("ema/"+p.Name, Add(MulScalar(w, 1-c.EMARate), MulScalar(at("ema/"), c.EMARate)))
		}
	}
	return out.names, out.nodes
}
