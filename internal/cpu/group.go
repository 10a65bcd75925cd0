package cpu

import (
	"slices"

	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/pkg/core/dtypes"

	"trmsweep/internal/cpu/kernel"
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

// side is one operand of a matrix product.
type side struct {
	v                   *value
	batch, outer, inner axis
}

// axis is a run of adjacent axes that one stride walks.
type axis struct{ dim, stride int }

// merge folds axes of a view into one, outermost first; false where no single stride, forwards, reaches every element.
func merge(v *value, axes []int) (axis, bool) {
	a := axis{dim: 1}
	for _, i := range axes {
		d, s := v.dims[i], v.strides[i]
		switch {
		case d == 1:
		case s < 0:
			return a, false
		case a.dim == 1:
			a = axis{d, s}
		case a.stride == d*s:
			a = axis{a.dim * d, s}
		default:
			return a, false
		}
	}
	return a, true
}

func (s *side) merged(batch, outer, inner []int) bool {
	var ok [3]bool
	s.batch, ok[0] = merge(s.v, batch)
	s.outer, ok[1] = merge(s.v, outer)
	s.inner, ok[2] = merge(s.v, inner)
	return ok == [3]bool{true, true, true}
}

// operand finds the strides of an operand; where there are none it is copied.
func (g *group) operand(n *node, v *value, batch, inner []int) side {
	outer := freeAxes(len(v.dims), inner, batch)
	s := side{v: v}
	if s.merged(batch, outer, inner) {
		return s
	}
	var dims, strides []int
	for _, axes := range [][]int{batch, outer, inner} {
		for _, a := range axes {
			dims, strides = append(dims, v.dims[a]), append(strides, v.strides[a])
		}
	}
	s.v = g.dense(n, v.part(v.off, dims, strides), false)
	order := freeAxes(len(dims))
	b, o := len(batch), len(batch)+len(outer)
	s.merged(order[:b], order[b:o], order[o:])
	return s
}

type packKey struct {
	st                  *storage
	off, row, col, n, k int
}

// packed is the right operand of products of every tile, packed once before them.
func (g *group) packed(n *node, b side) *value {
	c := g.c
	key := packKey{b.v.st, b.v.off, b.inner.stride, b.outer.stride, b.outer.dim, b.inner.dim}
	st := c.packs[key]
	if st == nil {
		q := &kernel.Gemm{N: b.outer.dim, K: b.inner.dim, BRow: b.inner.stride, BCol: b.outer.stride}
		q.Narrow = b.v.dt() == dtypes.BFloat16
		st = c.storage(dtypes.Float32, q.PackedSize())
		c.packs[key] = st
		c.touch(b.v)
		c.main = append(c.main, op{n, func(*worker, int) {
			bind(q, nil, b.v, nil, 0)
			c.b.pool.PackB(st.flat.([]float32), q)
		}})
	}
	return dense(st, []int{st.n})
}

// bind sets the operands of a product.
func bind(q *kernel.Gemm, a, b *value, w *worker, tile int) {
	if q.Narrow {
		if a != nil {
			q.A16 = a.u16(w, tile)
		}
		if b != nil {
			q.B16 = b.u16(w, tile)
		}
		return
	}
	if a != nil {
		q.A = a.f32(w, tile)
	}
	if b != nil {
		q.B = b.f32(w, tile)
	}
}

func (g *group) dot(n *node) *value {
	sp := n.data.(dotSpec)
	a, b := g.operand(n, g.in(n, 0), sp.lb, sp.lc), g.operand(n, g.in(n, 1), sp.rb, sp.rc)
	switch n.shape.DType {
	case dtypes.Float32, dtypes.BFloat16:
	default:
		return g.product(n, a, b)
	}
	narrow := n.shape.DType == dtypes.BFloat16
	var pack *value
	if g.tiles > 1 && b.v.step == 0 && b.v.st.place != inWorker && len(sp.lb) == 0 && b.inner.dim > 0 {
		pack = g.packed(n, b)
	}
	out := g.alloc(n)
	c := out
	if narrow {
		c = g.allocAs(dtypes.Float32, g.dims(n), false) // sums over blocks of k
	}
	rows, cols := a.outer.dim, b.outer.dim
	t := kernel.Gemm{M: rows, N: cols, K: a.inner.dim, Batch: a.batch.dim, CRow: cols, CBatch: rows * cols, Narrow: narrow,
		ARow: a.outer.stride, ACol: a.inner.stride, ABatch: a.batch.stride, BRow: b.inner.stride, BCol: b.outer.stride, BBatch: b.batch.stride}
	if g.tiles > 1 {
		t.SameA, g.left = a == g.left, a
	}
	empty, av, bv := out.size() == 0 || t.K == 0, a.v, b.v
	run := func(w *worker, tile int) {
		if empty {
			out.clear(w, tile)
			return
		}
		w.gemm = t
		bind(&w.gemm, av, bv, w, tile)
		if pack != nil {
			w.gemm.Packed = pack.f32(w, tile)
		}
		w.gemm.C = c.f32(w, tile)
		if narrow {
			w.gemm.C16 = out.u16(w, tile)
		}
		w.gemm.Run(&w.packed)
	}
	if g.tiles == 1 {
		q, pool := &t, g.c.b.pool
		run = func(*worker, int) {
			if empty {
				out.clear(nil, 0)
				return
			}
			bind(q, av, bv, nil, 0)
			q.C = c.f32(nil, 0)
			if narrow {
				q.C16 = out.u16(nil, 0)
			}
			pool.Gemm(q)
		}
	}
	used := []*value{a.v, b.v, c, out}
	if pack != nil {
		used = append(used, pack)
	}
	g.emit(n, run, used...)
	return out
}
