package cpu

import (
	"sync"

	"trmsweep/internal/cpu/kernel"
)

const block = 1024

// parallel calls f on pieces of [0, n) that depend on n and grain alone.
func parallel(p *kernel.Pool, n, grain int, f func(lo, hi int)) {
	p.Run(n, max(grain, (n+63)/64), kernel.Func(f))
}

var scratches [3]sync.Pool

// scratch lends 4 blocks of C with whatever they hold.
func scratch[C number]() (blocks *[4 * block]C, free func()) {
	var zero C
	p := &scratches[0]
	switch any(zero).(type) {
	case float64:
		p = &scratches[1]
	case int64:
		p = &scratches[2]
	}
	blocks, _ = p.Get().(*[4 * block]C)
	if blocks == nil {
		blocks = new([4 * block]C)
	}
	return blocks, func() { p.Put(blocks) }
}

// layout is a loop nest over several operands, adjacent axes merged where every operand allows it.
type layout struct {
	dims    []int
	strides [][]int // per operand
	offs    []int
}

func newLayout(dims []int, offs []int, strides ...[]int) layout {
	l := layout{offs: offs, strides: make([][]int, len(strides))}
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

func (l layout) inner(o int) int { return l.strides[o][len(l.dims)-1] }

// run calls f for pieces of rows: at gives each operand's offset, n the elements along the innermost axis
// (<= block); cost is the work per element, to choose pieces worth a goroutine.
func (l layout) run(p *kernel.Pool, cost int, body func() (step func(at []int, n int), free func())) {
	last := len(l.dims) - 1
	length := l.dims[last]
	rows := product(l.dims[:last])
	if rows*length == 0 {
		return
	}
	perRow := (length + block - 1) / block
	grain := max(1, 32768/(min(length, block)*cost+1))
	parallel(p, rows*perRow, grain, func(lo, hi int) {
		f, free := body()
		defer free()
		at := make([]int, len(l.offs))
		for u := lo; u < hi; u++ {
			row, col := u/perRow, u%perRow*block
			for o := range at {
				at[o] = l.offs[o] + col*l.strides[o][last]
			}
			for i := last - 1; i >= 0; i-- {
				idx := row % l.dims[i]
				row /= l.dims[i]
				for o := range at {
					at[o] += idx * l.strides[o][i]
				}
			}
			f(at, min(block, length-col))
		}
	})
}

func copyRows[T element](p *kernel.Pool, dst, src []T, l layout) {
	ds, ss := l.inner(0), l.inner(1)
	l.run(p, 1, func() (func([]int, int), func()) {
		return func(at []int, n int) {
			d, s := at[0], at[1]
			if ds == 1 && ss == 1 {
				copy(dst[d:d+n], src[s:s+n])
				return
			}
			for range n {
				dst[d] = src[s]
				d += ds
				s += ss
			}
		}, func() {}
	})
}

// copyView copies src to dst, which have equal dims and types.
func copyView(p *kernel.Pool, dst, src *value) {
	l := newLayout(dst.dims, []int{dst.off, src.off}, dst.strides, src.strides)
	switch d := dst.st.flat.(type) {
	case []float32:
		copyRows(p, d, src.st.flat.([]float32), l)
	case []float64:
		copyRows(p, d, src.st.flat.([]float64), l)
	case []bf16:
		copyRows(p, d, src.st.flat.([]bf16), l)
	case []int32:
		copyRows(p, d, src.st.flat.([]int32), l)
	case []int64:
		copyRows(p, d, src.st.flat.([]int64), l)
	case []uint32:
		copyRows(p, d, src.st.flat.([]uint32), l)
	case []uint8:
		copyRows(p, d, src.st.flat.([]uint8), l)
	case []bool:
		copyRows(p, d, src.st.flat.([]bool), l)
	}
}
