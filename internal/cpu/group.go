package cpu

import (
	"fmt"
	"slices"

	"github.com/gomlx/gomlx/pkg/core/dtypes"
)

// group is the lowering of one level's nodes: of a tiled group, or, with one tile, of a group of whole values. Lowering a node gives it a
// value, as one tile sees it, and emits the steps that compute it.
type group struct {
	c            *compiler
	level        int
	tiles        int
	nodes        []*node
	escapes      map[*node]bool // the value is needed outside of the group
	vals         map[*node]*value
	copies       map[copyKey]*value // of operands from other groups
	tileSchedule []step             // of a tiled group
	locals       []*storage         // in the worker
	shared       []*storage         // elsewhere, used by a tiled group
	lastLeft     matrix             // the left operand of a tiled group's last matrix product
}

// copyKey is an operand from another group, read whole or by tile.
type copyKey struct {
	n     *node
	whole bool
}

func newGroup(c *compiler, level int) *group {
	g := &group{c: c, level: level, tiles: 1, escapes: map[*node]bool{}, vals: map[*node]*value{}, copies: map[copyKey]*value{}}
	if isTiled(level) {
		g.tiles = c.tiles
	}
	for _, n := range c.nodes {
		if g.member(n) {
			g.nodes = append(g.nodes, n)
		}
	}
	for _, n := range slices.Backward(g.nodes) {
		g.escapes[n] = c.isOutput[n.idx]
		for _, u := range c.users[n.idx] {
			// A view shows the memory of its operand, so its escape is the operand's too.
			viewEscapes := c.kinds[u.idx] == view && g.escapes[u]
			if c.level[u.idx] != level || viewEscapes {
				g.escapes[n] = true
			}
		}
	}
	return g
}

func (g *group) member(n *node) bool {
	return g.c.level[n.idx] == g.level && g.c.kinds[n.idx] != leaf
}

// emit adds a step that uses the values.
func (g *group) emit(n *node, run func(w *worker, tile int), used ...*value) {
	if g.tiles == 1 {
		for _, v := range used {
			g.c.touch(v)
		}
		g.c.schedule = append(g.c.schedule, step{n, run})
		return
	}
	for _, v := range used {
		if v.st.space == inWorker {
			v.st.last = max(v.st.last, len(g.tileSchedule))
		} else {
			g.shared = append(g.shared, v.st)
		}
	}
	g.tileSchedule = append(g.tileSchedule, step{n, run})
}

// tileDims are a node's dimensions within a tile.
func (g *group) tileDims(n *node) []int { return g.tileOf(n.shape.Dimensions) }

func (g *group) tileOf(dims []int) []int {
	d := slices.Clone(dims)
	if g.tiles > 1 {
		d[0] /= g.tiles
	}
	return d
}

// alloc makes memory for a node's result.
func (g *group) alloc(n *node) *value { return g.allocAs(n.shape.DType, g.tileDims(n), g.escapes[n]) }

// allocAs makes memory for a tile: in the worker, or, if other groups share it, for all tiles in the arena.
func (g *group) allocAs(dt dtypes.DType, dims []int, shared bool) *value {
	v := &value{dims: dims, strides: denseStrides(dims)}
	size := product(dims)
	if g.tiles == 1 || shared {
		v.st = g.c.storage(dt, size*g.tiles)
		if g.tiles > 1 {
			v.tileStride = size
		}
		return v
	}
	v.st = &storage{dt: dt, n: size, space: inWorker, first: len(g.tileSchedule), last: len(g.tileSchedule)}
	g.locals = append(g.locals, v.st)
	return v
}

// operand is an operand as a tile of the node sees it. One of the same group must have been lowered.
func (g *group) operand(n *node, i int) *value {
	m := n.inputs[i]
	if g.member(m) {
		if g.vals[m] == nil {
			panic(fmt.Sprintf("%s reads %s before it is lowered", n.op, m.op))
		}
		return g.vals[m]
	}
	full := g.c.values[m.idx]
	whole := !g.byTile(n, i)
	if v := g.copies[copyKey{m, whole}]; v != nil {
		return v
	}
	if whole || g.tiles == 1 {
		return full
	}
	v := &value{st: full.st, off: full.off, dims: slices.Clone(full.dims), strides: full.strides}
	v.dims[0] /= g.tiles
	v.tileStride = full.strides[0] * v.dims[0]
	return v
}

// operands are all operands of a node.
func (g *group) operands(n *node) []*value {
	in := make([]*value, len(n.inputs))
	for i := range in {
		in[i] = g.operand(n, i)
	}
	return in
}

// byTile reports whether a node reads an operand by tile.
func (g *group) byTile(n *node, i int) bool {
	if g.tiles == 1 {
		return true
	}
	by, _ := g.c.tileable(n, g.tiles)
	return by[i]
}

// replaceOperand makes this and later users of an operand read a copy of it.
func (g *group) replaceOperand(n *node, i int, v *value) {
	if m := n.inputs[i]; g.member(m) {
		g.vals[m] = v
	} else {
		g.copies[copyKey{m, !g.byTile(n, i)}] = v
	}
}

// newLoop makes a loop over values without a body. cost is the work per element; pieces are large enough to be worth a thread.
func (g *group) newLoop(dims []int, cost int, vals []*value, strides [][]int) *loop {
	l := &loop{layout: newLayout(dims, strides...), pool: g.c.dev.pool, workers: &g.c.dev.workers, sizes: g.c.sizes}
	for _, v := range vals {
		l.offs = append(l.offs, v.off)
	}
	length := l.length()
	l.perRow = (length + block - 1) / block
	l.units = l.rows() * l.perRow
	l.grain = max(1, 32768/(min(length, block)*cost+1), (l.units+63)/64)
	if length == 0 {
		l.units = 0
	}
	return l
}

// emitLoop emits a loop over a result and its operands.
func (g *group) emitLoop(n *node, out *value, in []*value, cost int, body func(l *loop) func(w *worker, at []int, m int)) *value {
	vals, strides := []*value{out}, [][]int{out.strides}
	for _, v := range in {
		vals, strides = append(vals, v), append(strides, v.broadcastTo(out.dims))
	}
	l := g.newLoop(out.dims, cost, vals, strides)
	l.body = body(l)
	g.emit(n, l.start, vals...)
	return out
}
