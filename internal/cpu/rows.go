package cpu

import "trmsweep/internal/cpu/kernel"

// layout is a loop nest over several operands, adjacent axes merged where every operand allows it.
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

// inner is the stride of an operand along the innermost axis, length that axis, rows the product of the others.
func (l *layout) inner(o int) int { return l.strides[o][len(l.dims)-1] }
func (l *layout) length() int     { return l.dims[len(l.dims)-1] }
func (l *layout) rows() int       { return product(l.dims[:len(l.dims)-1]) }

// row is an operand's offset at the start of a row.
func (l *layout) row(o, row int) int {
	off := 0
	for i := len(l.dims) - 2; i >= 0; i-- {
		off += row % l.dims[i] * l.strides[o][i]
		row /= l.dims[i]
	}
	return off
}

// loop calls body for pieces of the rows of a layout: at gives each operand's offset, n the elements along the
// innermost axis (<= block).
type loop struct {
	layout
	offs         []int
	perRow       int
	units, grain int
	pool         *kernel.Pool
	workers      *workers
	needs        *needs
	body         func(w *worker, at []int, n int)
}

// newLoop plans a loop over values; cost is the work per element, to choose pieces worth a thread.
func (g *group) newLoop(dims []int, cost int, vals []*value, strides [][]int, body func(w *worker, at []int, n int)) *loop {
	l := &loop{layout: newLayout(dims, strides...), pool: g.c.b.pool, workers: &g.c.b.workers, needs: g.c.needs, body: body}
	for _, v := range vals {
		l.offs = append(l.offs, v.off)
	}
	length := l.length()
	l.perRow = (length + block - 1) / block
	l.units = l.rows() * l.perRow
	l.grain = max(1, 32768/(min(length, block)*cost+1), (l.units+63)/64)
	if length == 0 {
		l.units = 0
	}
	return l
}

func (l *loop) start(*worker, int) { l.pool.Run(l.units, l.grain, l) }

// Run implements kernel.Job.
func (l *loop) Run(lo, hi int) {
	w := l.workers.get(l.needs)
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
