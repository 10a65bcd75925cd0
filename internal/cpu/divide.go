package cpu

import (
	"slices"

	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/pkg/core/dtypes"
)

const (
	minTiles = 8        // fewer are not worth a region: whole values use the threads better
	maxHeld  = 48 << 20 // bytes that a region leaves to products over its tiles before it is cut, so that they are still in a cache
)

// tiled says whether a node can be computed tile by tile, and which operands are then read by tile and which whole.
func (c *compiler) tiled(n *node, tiles int) (byTile []bool, ok bool) {
	out := n.shape.Dimensions
	if len(out) == 0 || out[0]%tiles != 0 || n.shape.Size() == 0 || !chainable(n.shape.DType) {
		return nil, false
	}
	byTile = make([]bool, len(n.inputs))
	for i, m := range n.inputs {
		if !chainable(m.shape.DType) {
			return nil, false
		}
		byTile[i] = m.shape.Rank() > 0 && m.shape.Dimensions[0]%tiles == 0
	}
	in := n.inputs[0].shape.Dimensions
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
	case backends.OpTypeConcatenate:
		return byTile, n.data.(int) > 0 && !slices.Contains(byTile, false)
	case backends.OpTypeDotGeneral:
		sp := n.data.(dotSpec)
		if n.shape.DType == dtypes.Bool {
			return nil, false
		}
		if len(sp.lb) > 0 {
			return byTile, sp.lb[0] == 0 && sp.rb[0] == 0 && byTile[0] && byTile[1]
		}
		byTile[1] = false
		return byTile, byTile[0] && !slices.Contains(sp.lc, 0) && n.inputs[1].shape.Size() > 0
	}
	switch c.kinds[n.idx] {
	case chained:
		for i, m := range n.inputs {
			d := m.shape.Dimensions
			byTile[i] = len(d) == len(out) && d[0] == out[0]
			if !byTile[i] && len(d) > 0 && d[0] != 1 {
				return nil, false
			}
		}
		return byTile, true
	case folded:
		return byTile, byTile[0] && len(in) > 1
	}
	return nil, false
}

// divide chooses the tiles and puts every node in a group.
func (c *compiler) divide() {
	best := 0.0
	c.tiles = 1
	c.level = make([]int, len(c.nodes))
	var tried []int
	for _, n := range c.nodes {
		if n.shape.Rank() == 0 {
			continue
		}
		t := n.shape.Dimensions[0]
		if t < minTiles || slices.Contains(tried, t) || len(tried) == 64 {
			continue
		}
		tried = append(tried, t)
		if score := c.score(t); score > best || score == best && best > 0 && t > c.tiles {
			best, c.tiles = score, t
		}
	}
	region, held := 1, 0
	inRegion := func(m *node) bool { return c.level[m.idx]%2 == 1 }
	for _, n := range c.nodes {
		level, byTile, tile := 0, []bool(nil), false
		if c.tiles > 1 && c.kinds[n.idx] != leaf {
			if byTile, tile = c.tiled(n, c.tiles); tile {
				tile = c.kinds[n.idx] == dotted
				for i, m := range n.inputs {
					tile = tile || byTile[i] && inRegion(m)
				}
			}
		}
		if !tile {
			for _, m := range n.inputs {
				level = max(level, c.level[m.idx]+c.level[m.idx]%2)
				if c.kinds[n.idx] == dotted && c.level[m.idx] == region {
					held += n.inputs[0].shape.Size() * n.shape.DType.Size()
				}
			}
			c.level[n.idx] = level
			continue
		}
		if held > maxHeld {
			region, held = region+2, 0
		}
		for i, m := range n.inputs {
			l := c.level[m.idx]
			switch {
			case l%2 == 0:
				level = max(level, l+1)
			case byTile[i]:
				level = max(level, l)
			default:
				level = max(level, l+2)
			}
		}
		if level > region {
			region, held = level, 0
		}
		c.level[n.idx] = region
	}
}

// score is the work that tiles would cover: twice the multiply-adds of products, the elements of the rest.
func (c *compiler) score(tiles int) (sum float64) {
	in := make([]bool, len(c.nodes))
	for _, n := range c.nodes {
		if c.kinds[n.idx] == leaf {
			continue
		}
		byTile, ok := c.tiled(n, tiles)
		if !ok {
			continue
		}
		dot := c.kinds[n.idx] == dotted
		for i, m := range n.inputs {
			in[n.idx] = in[n.idx] || dot || byTile[i] && in[m.idx]
		}
		if !in[n.idx] || c.kinds[n.idx] == view {
			continue
		}
		work := float64(n.shape.Size())
		if dot {
			for _, a := range n.data.(dotSpec).lc {
				work *= 2 * float64(n.inputs[0].shape.Dimensions[a])
			}
		}
		sum += work
	}
	return sum
}
