package cpu

import (
	"slices"

	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/pkg/core/dtypes"
)

// minTiles is the least number of tiles that is worth a tiled group: operations on whole values use the threads better than fewer.
const minTiles = 8

// tileable reports whether a node can be computed tile by tile, and which operands it then reads by tile; it reads the others whole.
func (c *compiler) tileable(n *node, tiles int) (byTile []bool, ok bool) {
	out := n.shape.Dimensions
	if len(out) == 0 || out[0]%tiles != 0 || n.shape.Size() == 0 || !fusible(n.shape.DType) {
		return nil, false
	}
	byTile = make([]bool, len(n.inputs))
	for i, m := range n.inputs {
		if !fusible(m.shape.DType) {
			return nil, false
		}
		byTile[i] = m.shape.Rank() > 0 && m.shape.Dimensions[0]%tiles == 0
	}
	switch c.kinds[n.idx] {
	case view:
		return viewByTile(n, byTile)
	case matrixProduct:
		return productByTile(n, byTile)
	case elementwise:
		return elementwiseByTile(n, byTile)
	case reductionEpilogue:
		return byTile, byTile[0] && n.inputs[0].shape.Rank() > 1
	}
	if n.op == backends.OpTypeConcatenate {
		return byTile, n.data.(int) > 0 && !slices.Contains(byTile, false)
	}
	return nil, false
}

// viewByTile is tileable for views: the first axis must stay what it is.
func viewByTile(n *node, byTile []bool) ([]bool, bool) {
	in, out := n.inputs[0].shape.Dimensions, n.shape.Dimensions
	switch n.op {
	case backends.OpTypeReshape:
		return byTile, byTile[0]
	case backends.OpTypeTranspose:
		return byTile, byTile[0] && n.data.([]int)[0] == 0
	case backends.OpTypeSlice:
		sp := n.data.(sliceSpec)
		return byTile, byTile[0] && sp.starts[0] == 0 && sp.strides[0] == 1 && in[0] == out[0]
	case backends.OpTypeBroadcastInDim:
		i := slices.Index(n.data.([]int), 0)
		byTile[0] = i == 0 && in[0] == out[0]
		return byTile, byTile[0] || i < 0 || in[i] == 1
	}
	return nil, false
}

// productByTile is tileable for matrix products: the first axis is a batch axis of both operands, or one of the left operand that is not
// contracted. In the latter case all tiles share the right operand.
func productByTile(n *node, byTile []bool) ([]bool, bool) {
	sp := n.data.(dotSpec)
	if n.shape.DType == dtypes.Bool {
		return nil, false
	}
	if len(sp.leftBatch) > 0 {
		return byTile, sp.leftBatch[0] == 0 && sp.rightBatch[0] == 0 && byTile[0] && byTile[1]
	}
	byTile[1] = false
	return byTile, byTile[0] && !slices.Contains(sp.leftContract, 0) && n.inputs[1].shape.Size() > 0
}

// elementwiseByTile is tileable for elementwise nodes: an operand has the same first axis, or is the same for every row.
func elementwiseByTile(n *node, byTile []bool) ([]bool, bool) {
	out := n.shape.Dimensions
	for i, m := range n.inputs {
		d := m.shape.Dimensions
		byTile[i] = len(d) == len(out) && d[0] == out[0]
		if !byTile[i] && len(d) > 0 && d[0] != 1 {
			return nil, false
		}
	}
	return byTile, true
}
