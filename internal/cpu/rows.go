package cpu

import (
	"sync"
	"sync/atomic"
)

const block = 1024

// parallel calls f on pieces of [0, n) from at most threads goroutines. f must not depend on how n is cut.
func parallel(threads, n, grain int, f func(lo, hi int)) {
	pieces := (n + grain - 1) / grain
	if threads <= 1 || pieces <= 1 {
		if n > 0 {
			f(0, n)
		}
		return
	}
	grain = max(grain, (n+threads*8-1)/(threads*8))
	var next atomic.Int64
	var wg sync.WaitGroup
	var fault atomic.Value
	work := func() {
		defer func() {
			if r := recover(); r != nil {
				fault.CompareAndSwap(nil, panicked{r})
			}
		}()
		for {
			lo := int(next.Add(1)-1) * grain
			if lo >= n {
				return
			}
			f(lo, min(n, lo+grain))
		}
	}
	for range min(threads, pieces) - 1 {
		wg.Go(work)
	}
	work()
	wg.Wait()
	if p, ok := fault.Load().(panicked); ok {
		panic(p.reason)
	}
}

type panicked struct{ reason any }

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
func (l layout) run(threads, cost int, body func() func(at []int, n int)) {
	last := len(l.dims) - 1
	length := l.dims[last]
	rows := product(l.dims[:last])
	if rows*length == 0 {
		return
	}
	perRow := (length + block - 1) / block
	grain := max(1, 32768/(min(length, block)*cost+1))
	parallel(threads, rows*perRow, grain, func(lo, hi int) {
		f := body()
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

func copyRows[T element](threads int, dst, src []T, l layout) {
	ds, ss := l.inner(0), l.inner(1)
	l.run(threads, 1, func() func([]int, int) {
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
		}
	})
}

// copyView copies src to dst, which have equal dims and types.
func copyView(threads int, dst, src *value) {
	l := newLayout(dst.dims, []int{dst.off, src.off}, dst.strides, src.strides)
	switch d := dst.st.flat.(type) {
	case []float32:
		copyRows(threads, d, src.st.flat.([]float32), l)
	case []float64:
		copyRows(threads, d, src.st.flat.([]float64), l)
	case []bf16:
		copyRows(threads, d, src.st.flat.([]bf16), l)
	case []int32:
		copyRows(threads, d, src.st.flat.([]int32), l)
	case []int64:
		copyRows(threads, d, src.st.flat.([]int64), l)
	case []uint32:
		copyRows(threads, d, src.st.flat.([]uint32), l)
	case []uint8:
		copyRows(threads, d, src.st.flat.([]uint8), l)
	case []bool:
		copyRows(threads, d, src.st.flat.([]bool), l)
	}
}
