package cpu

import (
	"slices"

	"github.com/gomlx/gomlx/backends"
)

// concatenate emits one copy per operand.
func (g *group) concatenate(n *node, in []*value) *value {
	out, axis, off := g.alloc(n), n.data.(int), 0
	for _, v := range in {
		g.copyTo(n, out.part(out.off+off, v.dims, out.strides), v)
		off += v.dims[axis] * out.strides[axis]
	}
	return out
}

// pad emits a fill and a copy of what negative padding leaves of the operand.
func (g *group) pad(n *node, in []*value) *value {
	out := g.alloc(n)
	g.copyTo(n, out, in[1].part(in[1].off, out.dims, make([]int, len(out.dims))))
	src := in[0].part(in[0].off, slices.Clone(in[0].dims), in[0].strides)
	dst := out.part(0, src.dims, slices.Clone(out.strides))
	for i, a := range n.data.([]backends.PadAxis) {
		step := a.Interior + 1
		first := 0
		if a.Start < 0 {
			first = (-a.Start + step - 1) / step
		}
		end := min(src.dims[i], (out.dims[i]-1-a.Start+step)/step)
		if out.dims[i]-1-a.Start < 0 || end <= first {
			return out
		}
		src.off += first * src.strides[i]
		dst.off += (a.Start + first*step) * out.strides[i]
		src.dims[i] = end - first
		dst.strides[i] *= step
	}
	g.copyTo(n, dst, src)
	return out
}

// gather emits a copy of one slice per index vector.
func (g *group) gather(n *node, in []*value) *value {
	sp, out, x := n.data.(gatherSpec), g.alloc(n), in[0]
	batchAxes := freeAxes(len(out.dims), sp.offset)
	var dims, from, to []int
	for a := range x.dims {
		if !slices.Contains(sp.collapsed, a) {
			to = append(to, out.strides[sp.offset[len(dims)]])
			dims, from = append(dims, sp.len[a]), append(from, x.strides[a])
		}
	}
	l := newLayout(dims, to, from)
	g.emit(n, func(*worker, int) {
		indexVectors(in[1], sp.vectorAxis, func(batch []int, index []int64) {
			src, dst := x.off, out.off
			for i, a := range sp.start {
				src += int(min(max(index[i], 0), int64(x.dims[a]-sp.len[a]))) * x.strides[a]
			}
			for i, a := range batchAxes {
				dst += batch[i] * out.strides[a]
			}
			l.each(func(at [2]int) { copyOne(out.st.flat, dst+at[0], x.st.flat, src+at[1]) })
		})
	}, append(in, out)...)
	return out
}

// scatter emits a copy of the operand to which the updates are then added one after the other.
func (g *group) scatter(n *node, in []*value) *value {
	sp, updates := n.data.(scatterSpec), in[2]
	out := g.alloc(n)
	g.copyTo(n, out, in[0])
	batchAxes := freeAxes(len(updates.dims), sp.window)
	var dims, from, to []int
	extent := slices.Repeat([]int{1}, len(out.dims))
	for a := range out.dims {
		if !slices.Contains(sp.inserted, a) {
			w := sp.window[len(dims)]
			dims, from, to = append(dims, updates.dims[w]), append(from, updates.strides[w]), append(to, out.strides[a])
			extent[a] = updates.dims[w]
		}
	}
	l := newLayout(dims, to, from)
	g.emit(n, func(*worker, int) {
		indexVectors(in[1], sp.vectorAxis, func(batch []int, index []int64) {
			src, dst := updates.off, out.off
			for i, a := range sp.target {
				if index[i] < 0 || index[i] > int64(out.dims[a]-extent[a]) {
					return
				}
				dst += int(index[i]) * out.strides[a]
			}
			for i, a := range batchAxes {
				src += batch[i] * updates.strides[a]
			}
			l.each(func(at [2]int) { addOne(out.st.flat, dst+at[0], updates.st.flat, src+at[1]) })
		})
	}, append(in, out)...)
	return out
}
