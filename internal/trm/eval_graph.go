package trm

import (
	"github.com/gomlx/gomlx/pkg/core/dtypes"
	. "github.com/gomlx/gomlx/pkg/core/graph" //nolint:staticcheck // graphs read as formulas

	"trmsweep/internal/tensor"
)

// evalGraph is one supervision step of n rows with the EMA weights, or the live ones without EMA.
func (m *Model) evalGraph(n int, param paramFunc) ([]string, []*Node) {
	c := m.cfg
	kind := "param"
	if c.EMA {
		kind = "ema"
	}
	params, consts := m.declare(param, kind), m.declare(param, "const")
	puzzles := m.declare(param, "puzzle_emb")["weights"]
	inputs, ids := param("batch/inputs", tensor.U8, n, c.SeqLen), param("batch/puzzle_ids", tensor.I32, n)
	fresh := param("fresh", tensor.Bool)
	start := func(name, init string) *Node {
		z := param(name, c.carryDType(), n, c.Length(), c.HiddenSize)
		v := BroadcastToDims(Reshape(ConvertDType(consts[init], z.DType()), 1, 1, c.HiddenSize), z.Shape().Dimensions...)
		return Where(BroadcastToDims(Reshape(fresh, 1, 1, 1), z.Shape().Dimensions...), v, z)
	}
	zH, zL := start("z_H", "H_init"), start("z_L", "L_init")
	var local *Node
	if puzzles != nil {
		local = dotSpec{bT: true}.apply(oneHot(ids, c.NumPuzzleIdentifiers, dtypes.Float32), puzzles)
	}
	w, _ := c.pieces(params)
	r := c.forward(w, zH, zL, c.embed(w, inputs, local))
	return []string{"z_H", "z_L", "preds", "q_halt"}, []*Node{r.zH, r.zL, argMax(r.logits), r.qHalt}
}
