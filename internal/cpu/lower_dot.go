package cpu

import (
	"github.com/gomlx/gomlx/pkg/core/dtypes"

	"trmsweep/internal/cpu/kernel"
)

// matrixOperand reads an operand as a batch of matrices. It is copied if no strides express that.
func (g *group) matrixOperand(n *node, v *value, batch, inner []int) matrix {
	outer := freeAxes(len(v.dims), inner, batch)
	s := matrix{v: v}
	if s.findAxes(batch, outer, inner) {
		return s
	}
	var dims, strides []int
	for _, axes := range [][]int{batch, outer, inner} {
		for _, a := range axes {
			dims, strides = append(dims, v.dims[a]), append(strides, v.strides[a])
		}
	}
	s.v = g.copyDense(n, v.part(v.off, dims, strides), false)
	order := freeAxes(len(dims))
	b, o := len(batch), len(batch)+len(outer)
	s.findAxes(order[:b], order[b:o], order[o:])
	return s
}

// packedRight is the right operand that all tiles share, packed by a step of its own before the tiled group.
func (g *group) packedRight(n *node, b matrix) *value {
	c := g.c
	key := packKey{b.v.st, b.v.off, b.inner.stride, b.outer.stride, b.outer.dim, b.inner.dim}
	st := c.packed[key]
	if st == nil {
		q := &kernel.Gemm{N: b.outer.dim, K: b.inner.dim, BRow: b.inner.stride, BCol: b.outer.stride}
		q.BF16 = b.v.dt() == dtypes.BFloat16
		st = c.storage(dtypes.Float32, q.PackedSize())
		c.packed[key] = st
		c.touch(b.v)
		c.schedule = append(c.schedule, step{n, func(*worker, int) {
			bindOperands(q, nil, b.v, nil, 0)
			c.dev.pool.PackB(st.flat.([]float32), q)
		}})
	}
	return dense(st, []int{st.n})
}

// bindOperands points a product to the memory of its operands; a nil operand is left alone.
func bindOperands(q *kernel.Gemm, a, b *value, w *worker, tile int) {
	if q.BF16 {
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

// lowerDot emits a matrix product.
func (g *group) lowerDot(n *node) *value {
	sp := n.data.(dotSpec)
	a := g.matrixOperand(n, g.operand(n, 0), sp.leftBatch, sp.leftContract)
	b := g.matrixOperand(n, g.operand(n, 1), sp.rightBatch, sp.rightContract)
	switch n.shape.DType {
	case dtypes.Float32, dtypes.BFloat16:
	default:
		return g.lowerPlainDot(n, a, b)
	}
	p := &dotStep{a: a.v, b: b.v, gemm: gemmOf(n, a, b)}
	sharedRight := b.v.tileStride == 0 && b.v.st.space != inWorker && len(sp.leftBatch) == 0
	if g.tiles > 1 && sharedRight && b.inner.dim > 0 {
		p.packed = g.packedRight(n, b)
	}
	p.out = g.alloc(n)
	p.sums = p.out
	if p.gemm.BF16 {
		p.sums = g.allocAs(dtypes.Float32, g.tileDims(n), false)
	}
	used := []*value{p.a, p.b, p.sums, p.out}
	if p.packed != nil {
		used = append(used, p.packed)
	}
	switch {
	case p.out.size() == 0 || p.gemm.K == 0:
		g.emit(n, p.out.clear, used...)
	case g.tiles > 1:
		p.gemm.SameA = a == g.lastLeft
		g.lastLeft = a
		g.emit(n, p.runTile, used...)
	default:
		pool := g.c.dev.pool
		g.emit(n, func(*worker, int) { p.runWhole(pool) }, used...)
	}
	return p.out
}

// gemmOf describes the product of two operands for the kernel, without their memory.
func gemmOf(n *node, a, b matrix) kernel.Gemm {
	rows, cols := a.outer.dim, b.outer.dim
	return kernel.Gemm{
		M:      rows,
		N:      cols,
		K:      a.inner.dim,
		Batch:  a.batch.dim,
		ARow:   a.outer.stride,
		ACol:   a.inner.stride,
		ABatch: a.batch.stride,
		BRow:   b.inner.stride,
		BCol:   b.outer.stride,
		BBatch: b.batch.stride,
		CRow:   cols,
		CBatch: rows * cols,
		BF16:   n.shape.DType == dtypes.BFloat16,
	}
}

// dotStep is a matrix product as a step.
type dotStep struct {
	gemm   kernel.Gemm
	a, b   *value
	packed *value // b, if packedRight has packed it
	sums   *value // float32: out itself, or the sums that bfloat16 results are rounded from
	out    *value
}

// runTile computes the product of one tile on the calling thread.
func (p *dotStep) runTile(w *worker, tile int) {
	q := &w.gemm
	*q = p.gemm
	bindOperands(q, p.a, p.b, w, tile)
	if p.packed != nil {
		q.Packed = p.packed.f32(w, tile)
	}
	q.C = p.sums.f32(w, tile)
	if q.BF16 {
		q.C16 = p.out.u16(w, tile)
	}
	q.Run(&w.packed)
}

// runWhole computes the product on the pool.
func (p *dotStep) runWhole(pool *kernel.Pool) {
	q := &p.gemm
	bindOperands(q, p.a, p.b, nil, 0)
	q.C = p.sums.f32(nil, 0)
	if q.BF16 {
		q.C16 = p.out.u16(nil, 0)
	}
	pool.Gemm(q)
}

// lowerPlainDot emits a matrix product of a type that has no kernel.
func (g *group) lowerPlainDot(n *node, a, b matrix) *value {
	out := g.alloc(n)
	var job kernel.Func
	switch n.shape.DType {
	case dtypes.Float64:
		job = plainDot[float64](out, a, b)
	case dtypes.Int32:
		job = plainDot[int32](out, a, b)
	default:
		job = plainDot[int64](out, a, b)
	}
	size, pool := out.size(), g.c.dev.pool
	var j kernel.Job = job
	g.emit(n, func(*worker, int) { pool.Run(size, max(256, size/64), j) }, a.v, b.v, out)
	return out
}

// plainDot is the job of a plain matrix product; the range counts elements of the result.
func plainDot[T float64 | int32 | int64](out *value, a, b matrix) kernel.Func {
	m, n := a.outer.dim, b.outer.dim
	return func(lo, hi int) {
		c := out.st.flat.([]T)
		x, y := a.v.st.flat.([]T), b.v.st.flat.([]T)
		for u := lo; u < hi; u++ {
			batch := u / (m * n)
			pa := a.v.off + batch*a.batch.stride + u/n%m*a.outer.stride
			pb := b.v.off + batch*b.batch.stride + u%n*b.outer.stride
			var sum T
			for k := range a.inner.dim {
				sum += x[pa+k*a.inner.stride] * y[pb+k*b.inner.stride]
			}
			c[u] = sum
		}
	}
}
