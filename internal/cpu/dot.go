package cpu

import (
	"github.com/gomlx/gomlx/pkg/core/dtypes"

	"trmsweep/internal/cpu/kernel"
)

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
