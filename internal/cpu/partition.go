package cpu

import "slices"

// maxGroupBytes bounds what a tiled group leaves to matrix products that contract over its tiles. A larger group is cut in two, so
// that these products still find their operands in a cache.
const maxGroupBytes = 48 << 20

// partition divides the nodes into groups: it chooses the number of tiles and sets the level of every node.
func (c *compiler) partition() {
	c.tiles = c.chooseTiles()
	c.level = make([]int, len(c.nodes))
	current, bytes := 1, 0 // the tiled group that nodes join at present, and what it leaves to products over its tiles
	for _, n := range c.nodes {
		byTile, tiled := c.joinsTiles(n)
		if !tiled {
			c.level[n.idx] = c.wholeLevel(n)
			for _, m := range n.inputs {
				if c.kinds[n.idx] == matrixProduct && c.level[m.idx] == current {
					bytes += n.inputs[0].shape.Size() * n.shape.DType.Size()
				}
			}
			continue
		}
		if bytes > maxGroupBytes {
			current, bytes = current+2, 0
		}
		if level := c.tiledLevel(n, byTile); level > current {
			current, bytes = level, 0
		}
		c.level[n.idx] = current
	}
}

// chooseTiles returns the number of tiles that covers the most work, the largest of equal ones; 1 if no number covers any.
func (c *compiler) chooseTiles() int {
	tiles, best := 1, 0.0
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
		score := c.tiledWork(t)
		better := score > best
		if score == best && best > 0 {
			better = t > tiles
		}
		if better {
			best, tiles = score, t
		}
	}
	return tiles
}

// tiledWork is the work that tiles would cover: twice the multiply-adds of matrix products, the elements of the rest.
func (c *compiler) tiledWork(tiles int) (sum float64) {
	in := make([]bool, len(c.nodes)) // the node would be in a tiled group
	for _, n := range c.nodes {
		if c.kinds[n.idx] == leaf {
			continue
		}
		byTile, ok := c.tileable(n, tiles)
		if !ok {
			continue
		}
		in[n.idx] = c.kinds[n.idx] == matrixProduct
		for i, m := range n.inputs {
			if byTile[i] && in[m.idx] {
				in[n.idx] = true
			}
		}
		if !in[n.idx] || c.kinds[n.idx] == view {
			continue
		}
		work := float64(n.shape.Size())
		if c.kinds[n.idx] == matrixProduct {
			for _, a := range n.data.(dotSpec).leftContract {
				work *= 2 * float64(n.inputs[0].shape.Dimensions[a])
			}
		}
		sum += work
	}
	return sum
}

// joinsTiles reports whether a node belongs into a tiled group, and which operands it then reads by tile. Matrix products do if they
// can, other nodes if an operand that they read by tile does.
func (c *compiler) joinsTiles(n *node) (byTile []bool, ok bool) {
	if c.tiles == 1 || c.kinds[n.idx] == leaf {
		return nil, false
	}
	if byTile, ok = c.tileable(n, c.tiles); !ok {
		return nil, false
	}
	if c.kinds[n.idx] == matrixProduct {
		return byTile, true
	}
	for i, m := range n.inputs {
		if byTile[i] && isTiled(c.level[m.idx]) {
			return byTile, true
		}
	}
	return nil, false
}

// isTiled reports whether the group of a level is tiled.
func isTiled(level int) bool { return level%2 == 1 }

// wholeLevel is the lowest level of whole values at which a node finds its operands.
func (c *compiler) wholeLevel(n *node) (level int) {
	for _, m := range n.inputs {
		l := c.level[m.idx]
		if isTiled(l) {
			l++
		}
		level = max(level, l)
	}
	return level
}

// tiledLevel is the lowest tiled level at which a node finds its operands. One that it reads whole must come from a lower level.
func (c *compiler) tiledLevel(n *node, byTile []bool) (level int) {
	for i, m := range n.inputs {
		l := c.level[m.idx]
		switch {
		case !isTiled(l):
			level = max(level, l+1)
		case byTile[i]:
			level = max(level, l)
		default:
			level = max(level, l+2)
		}
	}
	return level
}
