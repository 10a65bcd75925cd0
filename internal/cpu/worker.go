package cpu

import (
	"sync"

	"trmsweep/internal/cpu/kernel"
)

// block is how many elements an operation works on at a time, so that several operations in a row find them in the nearest cache.
const block = 1024

// lineWords is the number of float32 words in a line of 64 bytes.
const lineWords = 16

// worker is the scratch memory of one thread.
type worker struct {
	arena  []float32 // the values of a tile
	slots  []float32 // of a fused loop
	regs   [][]float32
	bases  [][]float32
	gemm   kernel.Gemm
	packed kernel.Scratch
	f32    [4 * block]float32
	f64    [4 * block]float64
	i64    [4 * block]int64
	at     [8]int
}

// workerSizes are the sizes that an executable needs in a worker.
type workerSizes struct{ lines, slots, regs int }

// cover makes the sizes at least o.
func (n *workerSizes) cover(o workerSizes) {
	n.lines = max(n.lines, o.lines)
	n.slots = max(n.slots, o.slots)
	n.regs = max(n.regs, o.regs)
}

// workerPool keeps workers that are not in use.
type workerPool struct {
	mu   sync.Mutex
	free []*worker
}

// get lends a worker of at least the sizes.
func (p *workerPool) get(n *workerSizes) *worker {
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

// put takes a worker back, without what it still points to.
func (p *workerPool) put(w *worker) {
	clear(w.regs)
	clear(w.bases)
	w.gemm = kernel.Gemm{}
	p.mu.Lock()
	p.free = append(p.free, w)
	p.mu.Unlock()
}

// blocksOf is four blocks of scratch memory of class C.
func blocksOf[C number](w *worker) *[4 * block]C {
	if b, ok := any(&w.f32).(*[4 * block]C); ok {
		return b
	}
	if b, ok := any(&w.f64).(*[4 * block]C); ok {
		return b
	}
	return any(&w.i64).(*[4 * block]C)
}
