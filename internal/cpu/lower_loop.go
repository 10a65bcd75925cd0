package cpu

import (
	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/pkg/core/dtypes"
)

// lowering emits a node whose operands are lowered.
type lowering func(g *group, n *node, in []*value) *value

// onClass chooses the lowering for the class of numbers that a data type computes in.
func onClass(dt dtypes.DType, g *group, n *node, in []*value, f32, f64, i64 lowering) *value {
	switch dt {
	case dtypes.Float32, dtypes.BFloat16:
		return f32(g, n, in)
	case dtypes.Float64:
		return f64(g, n, in)
	}
	return i64(g, n, in)
}

// elementwiseLoop emits an operation that k computes on slices.
func elementwiseLoop[C number](g *group, n *node, in []*value, k func(dst, a, b []C)) *value {
	out := g.alloc(n)
	return g.emitLoop(n, out, in, 4, func(l *loop) func(*worker, []int, int) {
		return func(w *worker, at []int, m int) {
			tmp := blocksOf[C](w)
			x := [2][]C{}
			for i, v := range in {
				x[i] = load(tmp[(i+1)*block:(i+2)*block], v.st.flat, at[i+1], l.inner(i+1), m)
			}
			if direct, ok := out.st.flat.([]C); ok {
				k(direct[at[0]:at[0]+m], x[0], x[1])
				return
			}
			k(tmp[:m], x[0], x[1])
			store(out.st.flat, at[0], tmp[:m])
		}
	})
}

// compareLoop is elementwiseLoop for boolean results.
func compareLoop[C number](g *group, n *node, in []*value, k func(dst []bool, a, b []C)) *value {
	out := g.alloc(n)
	return g.emitLoop(n, out, in, 4, func(l *loop) func(*worker, []int, int) {
		return func(w *worker, at []int, m int) {
			tmp := blocksOf[C](w)
			x := [2][]C{}
			for i, v := range in {
				x[i] = load(tmp[i*block:(i+1)*block], v.st.flat, at[i+1], l.inner(i+1), m)
			}
			k(out.st.flat.([]bool)[at[0]:at[0]+m], x[0], x[1])
		}
	})
}

// predicateLoop emits IsNaN or IsFinite.
func predicateLoop[C number](g *group, n *node, in []*value) *value {
	nan := n.op == backends.OpTypeIsNaN
	return compareLoop(g, n, in, func(dst []bool, a, _ []C) {
		for i, v := range a {
			if nan {
				dst[i] = v != v
			} else {
				dst[i] = v-v == 0
			}
		}
	})
}

// whereLoop emits a choice between two operands.
func whereLoop[C number](g *group, n *node, in []*value) *value {
	out := g.alloc(n)
	return g.emitLoop(n, out, in, 4, func(l *loop) func(*worker, []int, int) {
		return func(w *worker, at []int, m int) {
			tmp, cond := blocksOf[C](w), in[0].st.flat.([]bool)
			a := load(tmp[:block], in[1].st.flat, at[2], l.inner(2), m)
			b := load(tmp[block:2*block], in[2].st.flat, at[3], l.inner(3), m)
			dst := tmp[2*block : 2*block+m]
			c, step := at[1], l.inner(1)
			for i := range dst {
				if cond[c] {
					dst[i] = a[i]
				} else {
					dst[i] = b[i]
				}
				c += step
			}
			store(out.st.flat, at[0], dst)
		}
	})
}

// convert emits a conversion between any two data types.
func (g *group) convert(n *node, in []*value) *value {
	return onClass(in[0].dt(), g, n, in, convertFrom[float32], convertFrom[float64], convertFrom[int64])
}

func convertFrom[S number](g *group, n *node, in []*value) *value {
	return onClass(n.shape.DType, g, n, in, convertTo[S, float32], convertTo[S, float64], convertTo[S, int64])
}

func convertTo[S, D number](g *group, n *node, in []*value) *value {
	out := g.alloc(n)
	return g.emitLoop(n, out, in, 2, func(l *loop) func(*worker, []int, int) {
		return func(w *worker, at []int, m int) {
			src := load(blocksOf[S](w)[:block], in[0].st.flat, at[1], l.inner(1), m)
			if to, ok := out.st.flat.([]bool); ok {
				for i, v := range src {
					to[at[0]+i] = v != 0
				}
				return
			}
			dst := blocksOf[D](w)[block : block+m]
			for i, v := range src {
				dst[i] = D(v)
			}
			store(out.st.flat, at[0], dst)
		}
	})
}

// iotaOf makes a constant: no step computes it.
func iotaOf[C number](_ *group, n *node) *value {
	axis, dims := n.data.(int), n.shape.Dimensions
	st := &storage{flat: newFlat(n.shape.DType, n.shape.Size()), dt: n.shape.DType, n: n.shape.Size(), space: inConstant}
	step, dim := denseStrides(dims)[axis], dims[axis]
	for i := range st.n {
		store(st.flat, i, []C{C(i / step % dim)})
	}
	return dense(st, dims)
}
