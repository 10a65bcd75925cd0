package cpu

import (
	"fmt"
	"math"
	"slices"

	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/pkg/core/dtypes"

	"trmsweep/internal/cpu/kernel"
)

// other plans an operation that has a loop of its own over whole values.
func (g *group) other(n *node) *value {
	in := make([]*value, len(n.inputs))
	for i := range n.inputs {
		in[i] = g.in(n, i)
	}
	switch n.op {
	case backends.OpTypeConcatenate:
		return g.concatenate(n, in)
	case backends.OpTypePad:
		return g.pad(n, in)
	case backends.OpTypeGather:
		return g.gather(n, in)
	case backends.OpTypeScatterSum:
		return g.scatter(n, in)
	case backends.OpTypeConvertDType:
		return g.convert(n, in)
	case backends.OpTypeIsFinite, backends.OpTypeIsNaN:
		return onClass(in[0].dt(), g, n, in, predicates[float32], predicates[float64], predicates[int64])
	}
	class := n.shape.DType
	if len(in) > 0 {
		class = in[len(in)-1].dt()
	}
	return onClass(class, g, n, in, compute[float32], compute[float64], compute[int64])
}

type evaluator func(g *group, n *node, in []*value) *value

func onClass(dt dtypes.DType, g *group, n *node, in []*value, f32, f64, i64 evaluator) *value {
	switch dt {
	case dtypes.Float32, dtypes.BFloat16:
		return f32(g, n, in)
	case dtypes.Float64:
		return f64(g, n, in)
	}
	return i64(g, n, in)
}

func compute[C number](g *group, n *node, in []*value) *value {
	switch n.op {
	case backends.OpTypeIota:
		return iotaOf[C](g, n)
	case backends.OpTypeWhere:
		return where[C](g, n, in)
	case backends.OpTypeArgMinMax:
		return argMinMax[C](g, n, in[0])
	}
	if k := unaryKernel[C](n.op); k != nil {
		return rowwise(g, n, in, func(dst, a, _ []C) { k(dst, a) })
	}
	if k := binaryKernels[C]()[n.op]; k != nil {
		return rowwise(g, n, in, k)
	}
	if k := compareKernels[C]()[n.op]; k != nil {
		return test(g, n, in, func(dst []bool, a, b []C) {
			for i := range dst {
				dst[i] = k(a[i], b[i])
			}
		})
	}
	if k, ok := reducers[C]()[n.op]; ok {
		return reduce(g, n, in[0], k)
	}
	panic(fmt.Sprintf("no implementation for %s", n.shape.DType))
}

// loopOver plans a loop over a result and its operands.
func (g *group) loopOver(n *node, out *value, in []*value, cost int, body func(l *loop) func(w *worker, at []int, m int)) *value {
	vals, strides := []*value{out}, [][]int{out.strides}
	for _, v := range in {
		vals, strides = append(vals, v), append(strides, v.broadcastTo(out.dims))
	}
	l := g.newLoop(out.dims, cost, vals, strides, nil)
	l.body = body(l)
	g.emit(n, l.start, vals...)
	return out
}

func rowwise[C number](g *group, n *node, in []*value, k func(dst, a, b []C)) *value {
	out := g.alloc(n)
	return g.loopOver(n, out, in, 4, func(l *loop) func(*worker, []int, int) {
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

func test[C number](g *group, n *node, in []*value, k func(dst []bool, a, b []C)) *value {
	out := g.alloc(n)
	return g.loopOver(n, out, in, 4, func(l *loop) func(*worker, []int, int) {
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

func predicates[C number](g *group, n *node, in []*value) *value {
	nan := n.op == backends.OpTypeIsNaN
	return test(g, n, in, func(dst []bool, a, _ []C) {
		for i, v := range a {
			if nan {
				dst[i] = v != v
			} else {
				dst[i] = v-v == 0
			}
		}
	})
}

func where[C number](g *group, n *node, in []*value) *value {
	out := g.alloc(n)
	return g.loopOver(n, out, in, 4, func(l *loop) func(*worker, []int, int) {
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

func (g *group) convert(n *node, in []*value) *value {
	return onClass(in[0].dt(), g, n, in, convertFrom[float32], convertFrom[float64], convertFrom[int64])
}

func convertFrom[S number](g *group, n *node, in []*value) *value {
	return onClass(n.shape.DType, g, n, in, convertTo[S, float32], convertTo[S, float64], convertTo[S, int64])
}

func convertTo[S, D number](g *group, n *node, in []*value) *value {
	out := g.alloc(n)
	return g.loopOver(n, out, in, 2, func(l *loop) func(*worker, []int, int) {
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

// iotaOf is a constant.
func iotaOf[C number](_ *group, n *node) *value {
	axis, dims := n.data.(int), n.shape.Dimensions
	st := &storage{flat: newFlat(n.shape.DType, n.shape.Size()), dt: n.shape.DType, n: n.shape.Size(), place: fixed}
	step, dim := denseStrides(dims)[axis], dims[axis]
	for i := range st.n {
		store(st.flat, i, []C{C(i / step % dim)})
	}
	return dense(st, dims)
}

func split(v *value, axes []int) (kept, reduced *value) {
	kept, reduced = &value{st: v.st, off: v.off}, &value{st: v.st}
	for i := range v.dims {
		to := kept
		if slices.Contains(axes, i) {
			to = reduced
		}
		to.dims, to.strides = append(to.dims, v.dims[i]), append(to.strides, v.strides[i])
	}
	return kept, reduced
}

// longFold is the size from which a reduction to one value is made in parts of half that.
const longFold = 1 << 16

func reduce[C number](g *group, n *node, x *value, k reducer[C]) *value {
	out := g.alloc(n)
	axes := slices.Clone(n.data.([]int))
	if out.size() == 1 && x.contiguous() && x.size() >= longFold && x.dt() == out.dt() {
		parts := x.size() / (longFold / 2)
		part, rest := x.size()/parts, x.size()%parts
		if rest == 0 {
			mid := g.allocAs(x.dt(), []int{parts}, false)
			reduceTo(g, n, mid, x.part(x.off, []int{parts, part}, []int{part, 1}), []int{1}, k)
			reduceTo(g, n, out, mid, []int{0}, k)
			return out
		}
	}
	reduceTo(g, n, out, x, axes, k)
	return out
}

func reduceTo[C number](g *group, n *node, out, x *value, axes []int, k reducer[C]) {
	kept, red := split(x, axes)
	first := initial(k, x.dt())
	rl := newLayout(red.dims, red.strides)
	length, stride := rl.length(), rl.inner(0)
	outer := offsets(rl.dims[:len(rl.dims)-1], rl.strides[0][:len(rl.dims)-1])
	if red.size() == 0 {
		length, outer = 0, nil
	}
	if len(kept.dims) != len(out.dims) {
		out = out.part(out.off, kept.dims, denseStrides(kept.dims))
	}
	g.loopOver(n, out, []*value{kept}, max(1, red.size()), func(l *loop) func(*worker, []int, int) {
		columns := l.inner(1) == 1 && stride != 1
		return func(w *worker, at []int, m int) {
			tmp := blocksOf[C](w)
			acc, buf := tmp[:block], tmp[block:2*block]
			for i := range m {
				acc[i] = first
			}
			for _, o := range outer {
				if columns {
					for j := range length {
						k.merge(acc[:m], acc[:m], load(buf, x.st.flat, at[1]+o+j*stride, 1, m))
					}
					continue
				}
				for i := range m {
					for j := 0; j < length; j += block {
						acc[i] = k.fold(acc[i], load(buf, x.st.flat, at[1]+i*l.inner(1)+o+j*stride, stride, min(block, length-j)))
					}
				}
			}
			store(out.st.flat, at[0], acc[:m])
		}
	})
}

// initial is the neutral element of a reduction over dt.
func initial[C number](k reducer[C], dt dtypes.DType) C {
	lo, hi := math.Inf(-1), math.Inf(1)
	switch dt {
	case dtypes.Int64:
		if k.initial(-1, 2) == 2 {
			top := int64(math.MaxInt64)
			return C(top)
		}
		lo = math.MinInt64
	case dtypes.Int32:
		lo, hi = math.MinInt32, math.MaxInt32
	case dtypes.Uint32:
		lo, hi = 0, math.MaxUint32
	case dtypes.Uint8:
		lo, hi = 0, math.MaxUint8
	case dtypes.Bool:
		lo, hi = 0, 1
	}
	return C(k.initial(lo, hi))
}

func argMinMax[C number](g *group, n *node, x *value) *value {
	sp, out := n.data.(argSpec), g.alloc(n)
	axis := sp.axis
	if axis < 0 {
		axis += len(x.dims)
	}
	kept, _ := split(x, []int{axis})
	stride, dim := x.strides[axis], x.dims[axis]
	return g.loopOver(n, out, []*value{kept}, max(1, dim), func(l *loop) func(*worker, []int, int) {
		return func(w *worker, at []int, m int) {
			idx, tmp := w.i64[3*block:3*block+m], blocksOf[C](w)[:1]
			for i := range idx {
				var best C
				idx[i] = 0
				for j := range dim {
					v := load(tmp, x.st.flat, at[1]+i*l.inner(1)+j*stride, 0, 1)[0]
					if j == 0 || best == best && (v != v || sp.isMin && v < best || !sp.isMin && v > best) {
						best, idx[i] = v, int64(j)
					}
				}
			}
			store(out.st.flat, at[0], idx)
		}
	})
}

func offsets(dims, strides []int) []int {
	out := make([]int, 1, max(1, product(dims)))
	for i, d := range dims {
		next := make([]int, 0, len(out)*d)
		for _, o := range out {
			for j := range d {
				next = append(next, o+j*strides[i])
			}
		}
		out = next
	}
	return out
}

// product is the plain matrix product for the types without a kernel.
func (g *group) product(n *node, a, b side) *value {
	out := g.alloc(n)
	var job kernel.Func
	switch n.shape.DType {
	case dtypes.Float64:
		job = product64[float64](out, a, b)
	case dtypes.Int32:
		job = product64[int32](out, a, b)
	default:
		job = product64[int64](out, a, b)
	}
	size, pool := out.size(), g.c.b.pool
	var j kernel.Job = job
	g.emit(n, func(*worker, int) { pool.Run(size, max(256, size/64), j) }, a.v, b.v, out)
	return out
}

func product64[T float64 | int32 | int64](out *value, a, b side) kernel.Func {
	m, n := a.outer.dim, b.outer.dim
	return func(lo, hi int) {
		c, x, y := out.st.flat.([]T), a.v.st.flat.([]T), b.v.st.flat.([]T)
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
