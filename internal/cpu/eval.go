package cpu

import (
	"fmt"
	"math"
	"slices"

	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/pkg/core/dtypes"
)

func (r *run) eval(n *node) *value {
	in := make([]*value, len(n.inputs))
	for i, x := range n.inputs {
		in[i] = r.vals[x.idx]
	}
	dims := n.shape.Dimensions
	switch n.op {
	case backends.OpTypeConstant:
		return dense(n.data.(*storage), n.shape)
	case backends.OpTypeIdentity:
		return viewOf(in[0].st, in[0].off, in[0].dims, in[0].strides)
	case backends.OpTypeReshape:
		if in[0].contiguous() {
			return viewOf(in[0].st, in[0].off, dims, denseStrides(dims))
		}
		v := r.materialise(in[0])
		return &value{st: v.st, dims: dims, strides: denseStrides(dims)}
	case backends.OpTypeTranspose:
		s := make([]int, len(dims))
		for i, a := range n.data.([]int) {
			s[i] = in[0].strides[a]
		}
		return viewOf(in[0].st, in[0].off, dims, s)
	case backends.OpTypeBroadcastInDim:
		s := make([]int, len(dims))
		for i, a := range n.data.([]int) {
			if in[0].dims[i] != 1 {
				s[a] = in[0].strides[i]
			}
		}
		return viewOf(in[0].st, in[0].off, dims, s)
	case backends.OpTypeSlice:
		sp, s, off := n.data.(sliceSpec), make([]int, len(dims)), in[0].off
		for i := range dims {
			s[i] = in[0].strides[i] * sp.strides[i]
			off += sp.starts[i] * in[0].strides[i]
		}
		return viewOf(in[0].st, off, dims, s)
	case backends.OpTypeReverse:
		s, off := slices.Clone(in[0].strides), in[0].off
		for _, a := range n.data.([]int) {
			off += max(0, dims[a]-1) * s[a]
			s[a] = -s[a]
		}
		return viewOf(in[0].st, off, dims, s)
	case backends.OpTypeConcatenate:
		return r.concatenate(n, in)
	case backends.OpTypePad:
		return r.pad(n, in)
	case backends.OpTypeDotGeneral:
		return r.dot(n, in)
	case backends.OpTypeGather:
		return r.gather(n, in)
	case backends.OpTypeScatterSum:
		return r.scatter(n, in)
	case backends.OpTypeConvertDType:
		return r.convert(n, in)
	case backends.OpTypeIsFinite, backends.OpTypeIsNaN:
		return onClass(in[0].dt(), r, n, in, predicates[float32], predicates[float64], predicates[int64])
	}
	class := n.shape.DType
	if len(in) > 0 {
		class = in[len(in)-1].dt()
	}
	return onClass(class, r, n, in, compute[float32], compute[float64], compute[int64])
}

type evaluator func(r *run, n *node, in []*value) *value

func onClass(dt dtypes.DType, r *run, n *node, in []*value, f32, f64, i64 evaluator) *value {
	switch dt {
	case dtypes.Float32, dtypes.BFloat16:
		return f32(r, n, in)
	case dtypes.Float64:
		return f64(r, n, in)
	}
	return i64(r, n, in)
}

func compute[C number](r *run, n *node, in []*value) *value {
	if n.op == backends.OpTypeIota {
		return iotaOf[C](r, n)
	}
	if n.op == backends.OpTypeWhere {
		return where[C](r, n, in)
	}
	if n.op == backends.OpTypeArgMinMax {
		return argMinMax[C](r, n, in[0])
	}
	if k := unaryKernel[C](n.op); k != nil {
		return rowwise(r, n, in, func(dst []C, x [][]C) { k(dst, x[0]) })
	}
	if k := binaryKernels[C]()[n.op]; k != nil {
		return rowwise(r, n, in, func(dst []C, x [][]C) { k(dst, x[0], x[1]) })
	}
	if k := compareKernels[C]()[n.op]; k != nil {
		return test(r, n, in, func(dst []bool, x [][]C) {
			a, b := x[0], x[1]
			for i := range dst {
				dst[i] = k(a[i], b[i])
			}
		})
	}
	if k, ok := reducers[C]()[n.op]; ok {
		return reduce(r, n, in[0], k)
	}
	panic(fmt.Sprintf("no implementation for %s", n.shape.DType))
}

func operands(out *value, in []*value) layout {
	offs, strides := []int{out.off}, [][]int{out.strides}
	for _, v := range in {
		offs, strides = append(offs, v.off), append(strides, v.broadcastTo(out.dims))
	}
	return newLayout(out.dims, offs, strides...)
}

func rowwise[C number](r *run, n *node, in []*value, k func(dst []C, x [][]C)) *value {
	out := r.reuse(n)
	l := operands(out, in)
	direct, same := out.st.flat.([]C)
	l.run(r.b.pool, 4, func() (func([]int, int), func()) {
		tmp, free := scratch[C]()
		x := make([][]C, len(in))
		return func(at []int, m int) {
			for i, v := range in {
				x[i] = load(tmp[(i+1)*block:(i+2)*block], v.st.flat, at[i+1], l.inner(i+1), m)
			}
			if same {
				k(direct[at[0]:at[0]+m], x)
				return
			}
			k(tmp[:m], x)
			store(out.st.flat, at[0], tmp[:m])
		}, free
	})
	return out
}

func test[C number](r *run, n *node, in []*value, k func(dst []bool, x [][]C)) *value {
	out := r.fresh(n.shape)
	l, dst := operands(out, in), out.st.flat.([]bool)
	l.run(r.b.pool, 4, func() (func([]int, int), func()) {
		tmp, free := scratch[C]()
		x := make([][]C, len(in))
		return func(at []int, m int) {
			for i, v := range in {
				x[i] = load(tmp[i*block:(i+1)*block], v.st.flat, at[i+1], l.inner(i+1), m)
			}
			k(dst[at[0]:at[0]+m], x)
		}, free
	})
	return out
}

func predicates[C number](r *run, n *node, in []*value) *value {
	nan := n.op == backends.OpTypeIsNaN
	return test(r, n, in, func(dst []bool, x [][]C) {
		for i, v := range x[0] {
			if nan {
				dst[i] = v != v
			} else {
				dst[i] = v-v == 0
			}
		}
	})
}

func where[C number](r *run, n *node, in []*value) *value {
	out := r.fresh(n.shape)
	l, cond := operands(out, in), in[0].st.flat.([]bool)
	l.run(r.b.pool, 4, func() (func([]int, int), func()) {
		tmp, free := scratch[C]()
		return func(at []int, m int) {
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
		}, free
	})
	return out
}

func (r *run) convert(n *node, in []*value) *value {
	return onClass(in[0].dt(), r, n, in, convertFrom[float32], convertFrom[float64], convertFrom[int64])
}

func convertFrom[S number](r *run, n *node, in []*value) *value {
	return onClass(n.shape.DType, r, n, in, convertTo[S, float32], convertTo[S, float64], convertTo[S, int64])
}

func convertTo[S, D number](r *run, n *node, in []*value) *value {
	out := r.fresh(n.shape)
	l := operands(out, in)
	toBool, _ := out.st.flat.([]bool)
	l.run(r.b.pool, 2, func() (func([]int, int), func()) {
		from, free := scratch[S]()
		to, freeTo := scratch[D]()
		tmp, dst := from[:block], to[:block]
		return func(at []int, m int) {
			for i, v := range load(tmp, in[0].st.flat, at[1], l.inner(1), m) {
				dst[i] = D(v)
				if toBool != nil {
					toBool[at[0]+i] = v != 0
				}
			}
			if toBool == nil {
				store(out.st.flat, at[0], dst[:m])
			}
		}, func() { free(); freeTo() }
	})
	return out
}

func iotaOf[C number](r *run, n *node) *value {
	out, axis := r.fresh(n.shape), n.data.(int)
	step, dim := out.strides[axis], n.shape.Dimensions[axis]
	for i := range out.size() {
		store(out.st.flat, i, []C{C(i / step % dim)})
	}
	return out
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

func reduce[C number](r *run, n *node, x *value, k reducer[C]) *value {
	out := r.fresh(n.shape)
	kept, red := split(x, n.data.([]int))
	first := initial(k, x.dt())
	l := newLayout(out.dims, []int{out.off, x.off}, out.strides, kept.strides)
	rl := newLayout(red.dims, []int{0}, red.strides)
	length, stride := rl.dims[len(rl.dims)-1], rl.inner(0)
	if red.size() == 0 {
		length, rl.dims = 0, []int{0}
	}
	outer := offsets(rl.dims[:len(rl.dims)-1], rl.strides[0][:len(rl.dims)-1])
	columns := l.inner(1) == 1 && stride != 1
	l.run(r.b.pool, max(1, red.size()), func() (func([]int, int), func()) {
		blocks, free := scratch[C]()
		acc, tmp := blocks[:block], blocks[block:]
		return func(at []int, m int) {
			for i := range m {
				acc[i] = first
			}
			for _, o := range outer {
				if columns {
					for j := range length {
						k.merge(acc[:m], acc[:m], load(tmp, x.st.flat, at[1]+o+j*stride, 1, m))
					}
					continue
				}
				for i := range m {
					for j := 0; j < length; j += block {
						acc[i] = k.fold(acc[i], load(tmp, x.st.flat, at[1]+i*l.inner(1)+o+j*stride, stride, min(block, length-j)))
					}
				}
			}
			store(out.st.flat, at[0], acc[:m])
		}, free
	})
	return out
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

func argMinMax[C number](r *run, n *node, x *value) *value {
	sp, out := n.data.(argSpec), r.fresh(n.shape)
	axis := sp.axis
	if axis < 0 {
		axis += len(x.dims)
	}
	kept, _ := split(x, []int{axis})
	stride, dim := x.strides[axis], x.dims[axis]
	l := newLayout(out.dims, []int{out.off, x.off}, out.strides, kept.strides)
	l.run(r.b.pool, max(1, dim), func() (func([]int, int), func()) {
		idx, free := scratch[int64]()
		tmp := make([]C, 1)
		return func(at []int, m int) {
			for i := range m {
				var best C
				idx[i] = 0
				for j := range dim {
					v := load(tmp, x.st.flat, at[1]+i*l.inner(1)+j*stride, 0, 1)[0]
					if j == 0 || best == best && (v != v || sp.isMin && v < best || !sp.isMin && v > best) {
						best, idx[i] = v, int64(j)
					}
				}
			}
			if n.shape.DType.IsFloat() {
				panic("an index needs an integer type")
			}
			store(out.st.flat, at[0], idx[:m])
		}, free
	})
	return out
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
