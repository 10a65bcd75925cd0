package cpu

import (
	"slices"

	"github.com/gomlx/gomlx/backends"
)

// part is a view that holds no reference, for use within one operation.
func (v *value) part(off int, dims, strides []int) *value {
	return &value{st: v.st, off: off, dims: dims, strides: strides}
}

func (r *run) concatenate(n *node, in []*value) *value {
	out, axis, off := r.fresh(n.shape), n.data.(int), 0
	for _, v := range in {
		copyView(r.b.pool, out.part(off, v.dims, out.strides), v)
		off += v.dims[axis] * out.strides[axis]
	}
	return out
}

func (r *run) pad(n *node, in []*value) *value {
	out := r.fresh(n.shape)
	copyView(r.b.pool, out, in[1].part(in[1].off, out.dims, make([]int, len(out.dims))))
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
	copyView(r.b.pool, dst, src)
	return out
}

// indexVectors calls f for every vector in an index tensor, with the position along its other axes.
func indexVectors(v *value, axis int, f func(batch []int, index []int64)) {
	length, stride := 1, 0
	dims, strides := slices.Clone(v.dims), slices.Clone(v.strides)
	if axis < len(dims) {
		length, stride = dims[axis], strides[axis]
		dims, strides = slices.Delete(dims, axis, axis+1), slices.Delete(strides, axis, axis+1)
	}
	buf, batch := make([]int64, length), make([]int, len(dims))
	for i := range product(dims) {
		off := v.off
		for a := len(dims) - 1; a >= 0; a-- {
			batch[a] = i % dims[a]
			i /= dims[a]
			off += batch[a] * strides[a]
		}
		f(batch, loadCopy(buf, v.st.flat, off, stride, length))
	}
}

func (r *run) gather(n *node, in []*value) *value {
	sp, out, x := n.data.(gatherSpec), r.fresh(n.shape), in[0]
	batchAxes := freeAxes(len(out.dims), sp.offset)
	var dims, from, to []int
	for a := range x.dims {
		if !slices.Contains(sp.collapsed, a) {
			to = append(to, out.strides[sp.offset[len(dims)]])
			dims, from = append(dims, sp.len[a]), append(from, x.strides[a])
		}
	}
	indexVectors(in[1], sp.vectorAxis, func(batch []int, index []int64) {
		src, dst := x.off, 0
		for i, a := range sp.start {
			src += int(min(max(index[i], 0), int64(x.dims[a]-sp.len[a]))) * x.strides[a]
		}
		for i, a := range batchAxes {
			dst += batch[i] * out.strides[a]
		}
		copyView(nil, out.part(dst, dims, to), x.part(src, dims, from))
	})
	return out
}

func (r *run) scatter(n *node, in []*value) *value {
	sp, out, updates := n.data.(scatterSpec), r.materialise(in[0]), in[2]
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
	indexVectors(in[1], sp.vectorAxis, func(batch []int, index []int64) {
		src, dst := updates.off, 0
		for i, a := range sp.target {
			if index[i] < 0 || index[i] > int64(out.dims[a]-extent[a]) {
				return
			}
			dst += int(index[i]) * out.strides[a]
		}
		for i, a := range batchAxes {
			src += batch[i] * updates.strides[a]
		}
		addView(out.part(dst, dims, to), updates.part(src, dims, from))
	})
	return out
}
