package cpu

import (
	"sync"
	"unsafe"
)

// arena is memory for the values of one execution at a time. Executables share arenas, since the graphs of a training step run one after
// the other.
type arena struct{ words []uint64 }

func newArena(lines int) *arena {
	a := &arena{make([]uint64, 8*lines)}
	advise(unsafe.Pointer(unsafe.SliceData(a.words)), uintptr(64*lines))
	return a
}

// arenaPool keeps arenas that are not in use.
type arenaPool struct {
	mu   sync.Mutex
	free []*arena
}

// get lends an arena of at least so many lines, the preferred one if it is free.
func (p *arenaPool) get(lines int, preferred *arena) *arena {
	p.mu.Lock()
	defer p.mu.Unlock()
	best := -1
	for i, a := range p.free {
		if a == preferred && len(a.words) >= 8*lines {
			best = i
			break
		}
		if best < 0 || len(a.words) > len(p.free[best].words) {
			best = i
		}
	}
	if best < 0 {
		return newArena(lines)
	}
	a := p.free[best]
	p.free = append(p.free[:best], p.free[best+1:]...)
	if len(a.words) < 8*lines {
		return newArena(lines)
	}
	return a
}

func (p *arenaPool) put(a *arena) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = append(p.free, a)
}

func (p *arenaPool) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = nil
}
