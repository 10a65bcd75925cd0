package cpu

import (
	"fmt"
	"reflect"
	"sync"

	"github.com/gomlx/gomlx/pkg/core/dtypes"
)

type poolKey struct {
	dt dtypes.DType
	n  int
}

// keptPerSize is more than a model's equal layers have weights, moments and averages of one size.
const keptPerSize = 64

// memory keeps buffers that are given back, by type and length.
type memory struct {
	mu     sync.Mutex
	free   map[poolKey][]any
	closed bool
}

func (p *memory) get(dt dtypes.DType, n int) any {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := poolKey{dt, n}
	if l := p.free[k]; len(l) > 0 {
		p.free[k] = l[:len(l)-1]
		return l[len(l)-1]
	}
	return newFlat(dt, n)
}

func (p *memory) put(dt dtypes.DType, n int, flat any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || n == 0 {
		return
	}
	if p.free == nil {
		p.free = map[poolKey][]any{}
	}
	k := poolKey{dt, n}
	if len(p.free[k]) < keptPerSize {
		p.free[k] = append(p.free[k], flat)
	}
}

func (p *memory) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free, p.closed = nil, true
}

func newFlat(dt dtypes.DType, n int) any {
	flat := reflect.MakeSlice(reflect.SliceOf(dt.GoType()), n, n)
	advise(flat.UnsafePointer(), uintptr(n)*dt.GoType().Size())
	return flat.Interface()
}

func clearFlat(flat any) {
	switch s := flat.(type) {
	case []float32:
		clear(s)
	case []float64:
		clear(s)
	case []bf16:
		clear(s)
	case []int32:
		clear(s)
	case []int64:
		clear(s)
	case []uint32:
		clear(s)
	case []uint8:
		clear(s)
	case []bool:
		clear(s)
	}
}

func copyFlat(dst, src any) error {
	d, s := reflect.ValueOf(dst), reflect.ValueOf(src)
	if d.Kind() != reflect.Slice || d.Type() != s.Type() || d.Len() != s.Len() {
		return fmt.Errorf("backend cpu: copy %T to %T: types and lengths must be equal", src, dst)
	}
	reflect.Copy(d, s)
	return nil
}
