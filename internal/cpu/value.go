package cpu

import (
	"sync"

	"github.com/gomlx/gomlx/pkg/core/dtypes"
	"github.com/gomlx/gomlx/pkg/core/dtypes/bfloat16"
	"github.com/gomlx/gomlx/pkg/core/shapes"
)

type bf16 = bfloat16.BFloat16

type element interface {
	~float32 | ~float64 | ~int32 | ~int64 | ~uint8 | ~uint32 | ~uint16 | ~bool
}

// storage is memory that views share; refs counts the values that hold it.
type storage struct {
	flat     any
	dt       dtypes.DType
	n, refs  int
	borrowed bool
}

// value is a strided view of a storage.
type value struct {
	st            *storage
	off           int
	dims, strides []int
}

func (v *value) dt() dtypes.DType { return v.st.dt }

func (v *value) size() int { return product(v.dims) }

func (v *value) contiguous() bool {
	want := 1
	for i := len(v.dims) - 1; i >= 0; i-- {
		if v.dims[i] != 1 && v.strides[i] != want {
			return false
		}
		want *= v.dims[i]
	}
	return true
}

func product(dims []int) int {
	n := 1
	for _, d := range dims {
		n *= d
	}
	return n
}

func denseStrides(dims []int) []int {
	s, n := make([]int, len(dims)), 1
	for i := len(dims) - 1; i >= 0; i-- {
		s[i] = n
		n *= dims[i]
	}
	return s
}

func viewOf(st *storage, off int, dims, strides []int) *value {
	st.refs++
	return &value{st: st, off: off, dims: dims, strides: strides}
}

func dense(st *storage, shape shapes.Shape) *value {
	return viewOf(st, 0, shape.Dimensions, denseStrides(shape.Dimensions))
}

// broadcastTo gives the strides that read v as if it had dims (v scalar, or of equal rank with dimensions 1 repeated).
func (v *value) broadcastTo(dims []int) []int {
	s := make([]int, len(dims))
	if len(v.dims) != len(dims) {
		return s
	}
	for i := range dims {
		if v.dims[i] != 1 {
			s[i] = v.strides[i]
		}
	}
	return s
}

type poolKey struct {
	dt dtypes.DType
	n  int
}

type memory struct {
	mu   sync.Mutex
	free map[poolKey][]any
}

func (p *memory) get(dt dtypes.DType, n int) *storage {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := poolKey{dt, n}
	if l := p.free[k]; len(l) > 0 {
		p.free[k] = l[:len(l)-1]
		return &storage{flat: l[len(l)-1], dt: dt, n: n}
	}
	return &storage{flat: newFlat(dt, n), dt: dt, n: n}
}

func (p *memory) put(st *storage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.free == nil {
		p.free = map[poolKey][]any{}
	}
	k := poolKey{st.dt, st.n}
	p.free[k] = append(p.free[k], st.flat)
	st.flat = nil
}

func (p *memory) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = nil
}

func (p *memory) release(v *value) {
	v.st.refs--
	if v.st.refs == 0 && !v.st.borrowed {
		p.put(v.st)
	}
}
