package cpu

import (
	"sync"

	"trmsweep/internal/cpu/kernel"
)

// block is how many elements an operation works on at a time, so that a chain of them stays in the nearest cache.
const block = 1024

// lineWords is the float32 words of one unit of arena.
const lineWords = 16

// worker is the scratch memory of one thread.
type worker struct {
	arena  []float32 // values of the tile in work
	slots  []float32 // of the chain in work
	regs   [][]float32
	bases  [][]float32
	gemm   kernel.Gemm
	packed kernel.Scratch
	f32    [4 * block]float32
	f64    [4 * block]float64
	i64    [4 * block]int64
	at     [8]int
}

// needs are the sizes that an executable asks of a worker.
type needs struct{ lines, slots, regs int }

func (n *needs) cover(o needs) {
	n.lines, n.slots, n.regs = max(n.lines, o.lines), max(n.slots, o.slots), max(n.regs, o.regs)
}

type workers struct {
	mu   sync.Mutex
	free []*worker
}

func (p *workers) get(n *needs) *worker {
	p.mu.Lock()
	var w *worker
	if l := len(p.free); l > 0 {
		w, p.free = p.free[l-1], p.free[:l-1]
	}
	p.mu.Unlock()
	if w == nil {
		w = &worker{}
	}
	if len(w.arena) < n.lines*lineWords {
		w.arena = make([]float32, n.lines*lineWords)
	}
	if len(w.slots) < n.slots {
		w.slots = make([]float32, n.slots)
	}
	if len(w.regs) < n.regs {
		w.regs, w.bases = make([][]float32, n.regs), make([][]float32, n.regs)
	}
	return w
}

func (p *workers) put(w *worker) {
	clear(w.regs)
	clear(w.bases)
	w.gemm = kernel.Gemm{}
	p.mu.Lock()
	p.free = append(p.free, w)
	p.mu.Unlock()
}

func blocksOf[C number](w *worker) *[4 * block]C {
	if b, ok := any(&w.f32).(*[4 * block]C); ok {
		return b
	}
	if b, ok := any(&w.f64).(*[4 * block]C); ok {
		return b
	}
	return any(&w.i64).(*[4 * block]C)
}
