package cpu

import (
	"slices"

	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/pkg/core/dtypes"
)

// group plans one level of the graph: a region (tiles > 1) or operations on whole values (tiles = 1).
type group struct {
	c      *compiler
	level  int
	tiles  int
	nodes  []*node
	vals   map[*node]*value // of a tile
	copies map[copyKey]*value
	ops    []op       // of a region
	locals []*storage // in the worker's arena
	shared []*storage // elsewhere, used by a region
	escape map[*node]bool
	left   side // of the region's last product
}

type copyKey struct {
	n     *node
	whole bool
}

func (c *compiler) group(level int) {
	g := &group{c: c, level: level, tiles: 1, vals: map[*node]*value{}, copies: map[copyKey]*value{}, escape: map[*node]bool{}}
	if level%2 == 1 {
		g.tiles = c.tiles
	}
	for _, n := range c.nodes {
		if c.level[n.idx] == level && c.kinds[n.idx] != leaf {
			g.nodes = append(g.nodes, n)
		}
	}
	if len(g.nodes) == 0 {
		return
	}
	for _, n := range slices.Backward(g.nodes) {
		out := c.isOutput[n.idx]
		for _, u := range c.users[n.idx] {
			out = out || c.level[u.idx] != level || c.kinds[u.idx] == view && g.escape[u]
		}
		g.escape[n] = out
	}
	for _, n := range g.nodes {
		if k := c.kinds[n.idx]; k == dotted || k == other {
			g.val(n)
		}
	}
	for _, n := range g.nodes {
		if g.escape[n] {
			c.full[n.idx] = g.widen(n, g.val(n))
		}
	}
	if g.tiles > 1 {
		g.region()
	}
}

// region adds the operations of a region to the plan.
func (g *group) region() {
	c := g.c
	for _, st := range g.shared {
		st.last = max(st.last, len(c.main))
	}
	c.needs.cover(needs{lines: layOut(g.locals)})
	j := &regionJob{ops: g.ops, workers: &c.b.workers, needs: c.needs}
	c.main = append(c.main, op{g.nodes[0], func(*worker, int) { c.b.pool.Run(g.tiles, 1, j) }})
}

type regionJob struct {
	ops     []op
	workers *workers
	needs   *needs
}

// Run implements kernel.Job over tiles.
func (j *regionJob) Run(lo, hi int) {
	w := j.workers.get(j.needs)
	for tile := lo; tile < hi; tile++ {
		for i := range j.ops {
			j.ops[i].run(w, tile)
		}
	}
	j.workers.put(w)
}

// emit adds an operation that uses the values.
func (g *group) emit(n *node, run func(w *worker, tile int), used ...*value) {
	if g.tiles == 1 {
		for _, v := range used {
			g.c.touch(v)
		}
		g.c.main = append(g.c.main, op{n, run})
		return
	}
	for _, v := range used {
		if v.st.place == inWorker {
			v.st.last = max(v.st.last, len(g.ops))
		} else {
			g.shared = append(g.shared, v.st)
		}
	}
	g.ops = append(g.ops, op{n, run})
}

// dims are a node's dimensions within a tile.
func (g *group) dims(n *node) []int { return g.tileOf(n.shape.Dimensions) }

func (g *group) tileOf(dims []int) []int {
	d := slices.Clone(dims)
	if g.tiles > 1 {
		d[0] /= g.tiles
	}
	return d
}

// alloc makes memory for a node's result.
func (g *group) alloc(n *node) *value { return g.allocAs(n.shape.DType, g.dims(n), g.escape[n]) }

func (g *group) allocAs(dt dtypes.DType, dims []int, shared bool) *value {
	v := &value{dims: dims, strides: denseStrides(dims)}
	size := product(dims)
	if g.tiles == 1 || shared {
		v.st = g.c.storage(dt, size*g.tiles)
		if g.tiles > 1 {
			v.step = size
		}
		return v
	}
	v.st = &storage{dt: dt, n: size, place: inWorker, first: len(g.ops), last: len(g.ops)}
	g.locals = append(g.locals, v.st)
	return v
}

// dense copies a view to memory of its own.
func (g *group) dense(n *node, v *value, shared bool) *value {
	out := g.allocAs(v.dt(), v.dims, shared)
	g.copyTo(n, out, v)
	return out
}

// in is an operand as a tile of the node sees it.
func (g *group) in(n *node, i int) *value {
	m := n.inputs[i]
	if g.member(m) {
		return g.val(m)
	}
	full := g.c.full[m.idx]
	whole := !g.byTile(n, i)
	if v := g.copies[copyKey{m, whole}]; v != nil {
		return v
	}
	if whole || g.tiles == 1 {
		return full
	}
	v := &value{st: full.st, off: full.off, dims: slices.Clone(full.dims), strides: full.strides}
	v.dims[0] /= g.tiles
	v.step = full.strides[0] * v.dims[0]
	return v
}

func (g *group) byTile(n *node, i int) bool {
	if g.tiles == 1 {
		return true
	}
	by, _ := g.c.tiled(n, g.tiles)
	return by[i]
}

func (g *group) member(n *node) bool {
	return g.c.level[n.idx] == g.level && g.c.kinds[n.idx] != leaf
}

// replace makes later users of an operand see a copy of it.
func (g *group) replace(n *node, i int, v *value) {
	if m := n.inputs[i]; g.member(m) {
		g.vals[m] = v
	} else {
		g.copies[copyKey{m, !g.byTile(n, i)}] = v
	}
}

// val is the value of a node of the group in a tile; what it needs is planned first.
func (g *group) val(n *node) *value {
	if v := g.vals[n]; v != nil {
		return v
	}
	switch g.c.kinds[n.idx] {
	case view:
		g.vals[n] = g.view(n)
	case chained, folded:
		g.fuse(n)
	case dotted:
		g.vals[n] = g.dot(n)
	case other:
		g.vals[n] = g.other(n)
	}
	return g.vals[n]
}

func (g *group) view(n *node) *value {
	in, dims := g.in(n, 0), g.dims(n)
	out := &value{st: in.st, off: in.off, step: in.step, dims: dims, strides: make([]int, len(dims))}
	switch n.op {
	case backends.OpTypeReshape:
		s, ok := reshaped(in.dims, in.strides, dims)
		if !ok {
			in = g.dense(n, in, g.escape[n])
			out.st, out.off, out.step, s = in.st, in.off, in.step, denseStrides(dims)
		}
		out.strides = s
	case backends.OpTypeTranspose:
		for i, a := range n.data.([]int) {
			out.strides[i] = in.strides[a]
		}
	case backends.OpTypeBroadcastInDim:
		for i, a := range n.data.([]int) {
			if in.dims[i] != 1 {
				out.strides[a] = in.strides[i]
			}
		}
	case backends.OpTypeSlice:
		sp := n.data.(sliceSpec)
		for i := range dims {
			out.strides[i] = in.strides[i] * sp.strides[i]
			out.off += sp.starts[i] * in.strides[i]
		}
	case backends.OpTypeReverse:
		copy(out.strides, in.strides)
		for _, a := range n.data.([]int) {
			out.off += max(0, dims[a]-1) * out.strides[a]
			out.strides[a] = -out.strides[a]
		}
	}
	return out
}

// widen makes of a tile's view one of the whole value; where no strides say that, tiles copy to memory that has them.
func (g *group) widen(n *node, v *value) *value {
	if g.tiles == 1 {
		return v
	}
	for {
		if v.st.place != inWorker {
			full := &value{st: v.st, off: v.off, dims: n.shape.Dimensions, strides: slices.Clone(v.strides)}
			if v.dims[0] == 1 {
				full.strides[0] = v.step
			}
			if full.strides[0]*v.dims[0] == v.step {
				return full
			}
		}
		v = g.dense(n, v, true)
	}
}
