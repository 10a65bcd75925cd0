package cpu

import (
	"math"
	"slices"

	"github.com/gomlx/gomlx/pkg/core/dtypes"
)

// split divides the axes of a value into those that a reduction keeps and those that it reduces.
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

// longReduction is the size from which a reduction to one value is made in parts of half that size, which threads share.
const longReduction = 1 << 16

// reduce emits a reduction.
func reduce[C number](g *group, n *node, x *value, k reducer[C]) *value {
	out := g.alloc(n)
	axes := slices.Clone(n.data.([]int))
	if out.size() == 1 && x.contiguous() && x.size() >= longReduction && x.dt() == out.dt() {
		parts := x.size() / (longReduction / 2)
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

// reduceTo emits a reduction of axes of x to out. It adds up along rows, or along columns if those are what lies side by side.
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
	g.emitLoop(n, out, []*value{kept}, max(1, red.size()), func(l *loop) func(*worker, []int, int) {
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

// argMinMax emits the index of the least or greatest element. A NaN wins.
func argMinMax[C number](g *group, n *node, x *value) *value {
	sp, out := n.data.(argSpec), g.alloc(n)
	axis := sp.axis
	if axis < 0 {
		axis += len(x.dims)
	}
	kept, _ := split(x, []int{axis})
	stride, dim := x.strides[axis], x.dims[axis]
	return g.emitLoop(n, out, []*value{kept}, max(1, dim), func(l *loop) func(*worker, []int, int) {
		return func(w *worker, at []int, m int) {
			idx, tmp := w.i64[3*block:3*block+m], blocksOf[C](w)[:1]
			for i := range idx {
				var best C
				idx[i] = 0
				for j := range dim {
					v := load(tmp, x.st.flat, at[1]+i*l.inner(1)+j*stride, 0, 1)[0]
					if j == 0 || wins(v, best, sp.isMin) {
						best, idx[i] = v, int64(j)
					}
				}
			}
			store(out.st.flat, at[0], idx)
		}
	})
}

// wins reports whether v takes the place of best, the least or greatest so far. The first NaN stays.
func wins[C number](v, best C, isMin bool) bool {
	switch {
	case best != best:
		return false
	case v != v:
		return true
	case isMin:
		return v < best
	}
	return v > best
}
