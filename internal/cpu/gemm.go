package cpu

import (
	"unsafe"

	"github.com/gomlx/gomlx/pkg/core/dtypes"
	"github.com/gomlx/gomlx/pkg/core/shapes"

	"trmsweep/internal/cpu/kernel"
)

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

// side is one operand of a matrix product.
type side struct {
	v                   *value
	batch, outer, inner axis
	temporary           bool
}

func (s *side) merged(batch, outer, inner []int) bool {
	var ok [3]bool
	s.batch, ok[0] = merge(s.v, batch)
	s.outer, ok[1] = merge(s.v, outer)
	s.inner, ok[2] = merge(s.v, inner)
	return ok == [3]bool{true, true, true}
}

// operand finds the strides of an operand; where there are none it is copied.
func (r *run) operand(v *value, batch, inner []int) side {
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
	s.v, s.temporary = r.materialise(v.part(v.off, dims, strides)), true
	order := freeAxes(len(dims))
	b, o := len(batch), len(batch)+len(outer)
	s.merged(order[:b], order[b:o], order[o:])
	return s
}

func (r *run) dot(n *node, in []*value) *value {
	sp, out := n.data.(dotSpec), r.fresh(n.shape)
	a, b := r.operand(in[0], sp.lb, sp.lc), r.operand(in[1], sp.rb, sp.rc)
	defer func() {
		for _, s := range []side{a, b} {
			if s.temporary {
				r.b.memory.release(s.v)
			}
		}
	}()
	switch c := out.st.flat.(type) {
	case []float64:
		product64(r.b.pool, c, a.v.st.flat.([]float64), b.v.st.flat.([]float64), a, b)
	case []int32:
		product64(r.b.pool, c, a.v.st.flat.([]int32), b.v.st.flat.([]int32), a, b)
	case []int64:
		product64(r.b.pool, c, a.v.st.flat.([]int64), b.v.st.flat.([]int64), a, b)
	case []float32:
		r.gemm(c, a, b)
	case []bf16:
		wide := r.fresh(shapes.Make(dtypes.Float32, n.shape.Dimensions...))
		c32 := wide.st.flat.([]float32)
		r.gemm(c32, a, b)
		parallel(r.b.pool, len(c), 1<<16, func(lo, hi int) { kernel.ToBF16(words(c[lo:hi]), c32[lo:hi]) })
		r.b.memory.release(wide)
	}
	return out
}

// words are the bits of bfloat16 values.
func words(x []bf16) []uint16 { return unsafe.Slice((*uint16)(unsafe.SliceData(x)), len(x)) }

func (r *run) gemm(c []float32, a, b side) {
	m, n := a.outer.dim, b.outer.dim
	g := kernel.Gemm{M: m, N: n, K: a.inner.dim, Batch: a.batch.dim, C: c, CRow: n, CBatch: m * n,
		ARow: a.outer.stride, ACol: a.inner.stride, ABatch: a.batch.stride,
		BRow: b.inner.stride, BCol: b.outer.stride, BBatch: b.batch.stride}
	if len(c) == 0 || g.K == 0 {
		clear(c)
		return
	}
	switch x := a.v.st.flat.(type) {
	case []float32:
		g.A, g.B = x[a.v.off:], b.v.st.flat.([]float32)[b.v.off:]
	case []bf16:
		g.A16, g.B16 = words(x[a.v.off:]), words(b.v.st.flat.([]bf16)[b.v.off:])
	}
	r.b.pool.Gemm(&g)
}

// product64 is the plain matrix product for the types without a kernel.
func product64[T float64 | int32 | int64](p *kernel.Pool, c, x, y []T, a, b side) {
	m, n := a.outer.dim, b.outer.dim
	parallel(p, a.batch.dim*m*n, 256, func(lo, hi int) {
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
	})
}
