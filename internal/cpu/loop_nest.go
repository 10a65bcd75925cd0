package cpu

import (
	"slices"

	"trmsweep/internal/cpu/kernel"
)

// layout is a loop nest over several operands. Adjacent axes are merged if every operand allows it.
type layout struct {
	dims    []int
	strides [][]int // per operand
}

func newLayout(dims []int, strides ...[]int) layout {
	l := layout{strides: make([][]int, len(strides))}
	for i, d := range dims {
		if d == 1 {
			continue
		}
		last := len(l.dims) - 1
		merge := last >= 0
		for o := range strides {
			merge = merge && l.strides[o][last] == strides[o][i]*d
		}
		if merge {
			l.dims[last] *= d
			for o := range strides {
				l.strides[o][last] = strides[o][i]
			}
			continue
		}
		l.dims = append(l.dims, d)
		for o := range strides {
			l.strides[o] = append(l.strides[o], strides[o][i])
		}
	}
	if len(l.dims) == 0 {
		l.dims = []int{1}
		for o := range strides {
			l.strides[o] = []int{0}
		}
	}
	return l
}

// inner is the stride of operand o along the innermost axis.
func (l *layout) inner(o int) int { return l.strides[o][len(l.dims)-1] }

// length is the dimension of the innermost axis.
func (l *layout) length() int { return l.dims[len(l.dims)-1] }

// rows is the product of the other dimensions.
func (l *layout) rows() int { return product(l.dims[:len(l.dims)-1]) }

// row is the offset of operand o at the start of a row.
func (l *layout) row(o, row int) int {
	off := 0
	for i := len(l.dims) - 2; i >= 0; i-- {
		off += row % l.dims[i] * l.strides[o][i]
		row /= l.dims[i]
	}
	return off
}

// loop calls body for pieces of the rows of a layout: at has each operand's offset, n is the number of elements along the innermost
// axis, at most a block.
type loop struct {
	layout
	offs         []int
	perRow       int
	units, grain int
	pool         *kernel.Pool
	workers      *workerPool
	sizes        *workerSizes
	body         func(w *worker, at []int, n int)
}

// start runs the loop on the pool; it is the run function of a step.
func (l *loop) start(*worker, int) { l.pool.Run(l.units, l.grain, l) }

// Run implements kernel.Job; the range counts pieces.
func (l *loop) Run(lo, hi int) {
	w := l.workers.get(l.sizes)
	at := w.at[:len(l.offs)]
	for u := lo; u < hi; u++ {
		row, col := u/l.perRow, u%l.perRow*block
		for o := range at {
			at[o] = l.offs[o] + col*l.inner(o) + l.row(o, row)
		}
		l.body(w, at, min(block, l.length()-col))
	}
	l.workers.put(w)
}

// each calls f with the offsets of every element of a layout of two operands.
func (l *layout) each(f func(at [2]int)) {
	for r := range l.rows() {
		at := [2]int{l.row(0, r), l.row(1, r)}
		for range l.length() {
			f(at)
			at[0] += l.inner(0)
			at[1] += l.inner(1)
		}
	}
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

// offsets lists the offset of every element, in row-major order.
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
