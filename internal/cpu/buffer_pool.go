package cpu

import (
	"sync"

	"github.com/gomlx/gomlx/pkg/core/dtypes"
)

// bufferKey is what a buffer must have to be used again.
type bufferKey struct {
	dt dtypes.DType
	n  int
}

// keptPerSize bounds the buffers that are kept of one type and length. A model's equal layers have fewer weights, moments and averages.
const keptPerSize = 64

// bufferPool keeps the memory of device buffers that are finalized or donated.
type bufferPool struct {
	mu     sync.Mutex
	free   map[bufferKey][]any
	closed bool
}

func (p *bufferPool) get(dt dtypes.DType, n int) any {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := bufferKey{dt, n}
	if l := p.free[k]; len(l) > 0 {
		p.free[k] = l[:len(l)-1]
		return l[len(l)-1]
	}
	return newFlat(dt, n)
}

func (p *bufferPool) put(dt dtypes.DType, n int, flat any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || n == 0 {
		return
	}
	if p.free == nil {
		p.free = map[bufferKey][]any{}
	}
	k := bufferKey{dt, n}
	if len(p.free[k]) < keptPerSize {
		p.free[k] = append(p.free[k], flat)
	}
}

func (p *bufferPool) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free, p.closed = nil, true
}
