package kernel

import (
	"sync"
	"sync/atomic"
	"unsafe"
)

// Job is work over an index range. Run may be called at the same time from several goroutines with disjoint ranges.
type Job interface{ Run(lo, hi int) }

// Pool spreads ranges over a fixed number of goroutines, the caller's being one of them. A call made while the pool is busy
// (nested, or from another goroutine) runs inline, so nothing can deadlock. A Pool of one thread starts no goroutine.
type Pool struct {
	threads int
	busy    atomic.Bool
	next    atomic.Int64
	n       int
	grain   int
	job     Job
	fault   atomic.Pointer[any]
	wake    chan struct{}
	done    sync.WaitGroup
	closed  sync.Once
}

// NewPool returns a pool of the given number of threads (at least 1). Close frees its goroutines.
func NewPool(threads int) *Pool {
	p := &Pool{threads: max(threads, 1)}
	p.wake = make(chan struct{}, p.threads)
	for i := 1; i < p.threads; i++ {
		go func() {
			for range p.wake {
				p.work()
				p.done.Done()
			}
		}()
	}
	return p
}

// Threads returns the number of threads, the caller's included.
func (p *Pool) Threads() int { return p.threads }

// Close ends the goroutines. No other call may follow or be under way.
func (p *Pool) Close() { p.closed.Do(func() { close(p.wake) }) }

// Run calls job.Run over [0,n) in chunks of grain (the last may be shorter) and returns when all are done. The chunks
// depend on n and grain alone, so a job that reduces per chunk gives the same bits for any pool. It allocates nothing. A panic of
// the job comes out of Run whichever thread it happened on; chunks not begun by then are left out.
func (p *Pool) Run(n, grain int, job Job) {
	grain = max(grain, 1)
	if n <= 0 {
		return
	}
	if p == nil || p.threads == 1 || n <= grain || !p.busy.CompareAndSwap(false, true) {
		for lo := 0; lo < n; lo += grain {
			job.Run(lo, min(lo+grain, n))
		}
		return
	}
	p.n, p.grain, p.job = n, grain, job
	p.next.Store(0)
	helpers := min(p.threads-1, (n+grain-1)/grain-1)
	p.done.Add(helpers)
	for range helpers {
		p.wake <- struct{}{}
	}
	p.work()
	p.done.Wait()
	p.job = nil
	fault := p.fault.Swap(nil)
	p.busy.Store(false)
	if fault != nil {
		panic(*fault)
	}
}

func (p *Pool) work() {
	defer p.keepPanic()
	for {
		hi := int(p.next.Add(int64(p.grain)))
		lo := hi - p.grain
		if lo >= p.n {
			return
		}
		p.job.Run(lo, min(hi, p.n))
	}
}

// keepPanic leaves the first panic of a job to the goroutine that called Run.
func (p *Pool) keepPanic() {
	if r := recover(); r != nil {
		fault := r
		p.fault.CompareAndSwap(nil, &fault)
		p.next.Store(int64(p.n)) // the other threads take nothing more
	}
}

// Func makes a Job of a function. Converting a closure to it allocates; steady-state callers keep their Jobs.
type Func func(lo, hi int)

// Run calls f.
func (f Func) Run(lo, hi int) { f(lo, hi) }

// freeList keeps scratch objects for reuse without ever handing them to the garbage collector.
type freeList[T any] struct {
	mu   sync.Mutex
	free []*T
}

func (l *freeList[T]) get() *T {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.free); n > 0 {
		t := l.free[n-1]
		l.free = l.free[:n-1]
		return t
	}
	return new(T)
}

func (l *freeList[T]) put(t *T) {
	l.mu.Lock()
	l.free = append(l.free, t)
	l.mu.Unlock()
}

// grow returns n words at the start of a cache line. It keeps the memory and its contents if that has n words already.
func grow(s []float32, n int) []float32 {
	if cap(s) < n {
		s = make([]float32, n+15)
		at := uintptr(unsafe.Pointer(unsafe.SliceData(s))) / 4 % 16
		s = s[(16-at)%16:]
	}
	return s[:n]
}
