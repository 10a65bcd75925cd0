package cpu

import (
	"fmt"
	"runtime/debug"
	"sync"
	"unsafe"

	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/pkg/core/dtypes"
	"github.com/gomlx/gomlx/pkg/core/shapes"
)

// executable is a plan. Safe for concurrent use; executions of one plan take turns.
type executable struct {
	b       *Backend
	name    string
	params  []*node
	names   []string
	outputs []*node

	mu      sync.Mutex
	main    []op
	bound   []*storage // of the parameters
	results []*storage // of the outputs
	planned []*storage // in the arena
	lines   int        // of the arena
	base    *arena     // what planned lies in at present
	needs   *needs
	done    bool
}

var _ backends.Executable = (*executable)(nil)

// Finalize drops the plan.
func (x *executable) Finalize() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.done, x.main, x.planned, x.base = true, nil, nil, nil
}

// Inputs returns the parameters' names and shapes.
func (x *executable) Inputs() ([]string, []shapes.Shape) { return x.names, nodeShapes(x.params) }

// Outputs returns the results' shapes.
func (x *executable) Outputs() []shapes.Shape { return nodeShapes(x.outputs) }

// Execute runs the graph. Donated inputs are consumed, whatever the outcome.
func (x *executable) Execute(inputs []backends.Buffer, donate []bool, _ backends.DeviceNum) (outs []backends.Buffer, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.b.IsFinalized() || x.done {
		return nil, fmt.Errorf("backend cpu: execute %q: finalized", x.name)
	}
	if len(inputs) != len(x.params) || len(donate) != 0 && len(donate) != len(inputs) {
		return nil, fmt.Errorf("backend cpu: execute %q: %d inputs for %d parameters", x.name, len(inputs), len(x.params))
	}
	for i, in := range inputs {
		buf, err := asBuffer(in)
		if err != nil {
			return nil, fmt.Errorf("execute %q: parameter %q: %w", x.name, x.names[i], err)
		}
		if !buf.shape.Equal(x.params[i].shape) {
			return nil, fmt.Errorf("backend cpu: execute %q: parameter %q is %s, not %s", x.name, x.names[i], buf.shape, x.params[i].shape)
		}
		if st := x.bound[i]; st != nil {
			st.flat = buf.flat
		}
	}
	own := make([]buffer, len(x.results)) // one allocation for all
	outs = make([]backends.Buffer, len(x.results))
	for i, st := range x.results {
		st.flat = x.b.memory.get(st.dt, st.n)
		own[i] = buffer{shape: x.outputs[i].shape, flat: st.flat}
		outs[i] = &own[i]
	}
	a := x.b.arenas.get(x.lines, x.base)
	defer x.b.arenas.put(a)
	x.bind(a)
	current := 0
	defer func() {
		for _, st := range x.bound {
			if st != nil {
				st.flat = nil
			}
		}
		for _, st := range x.results {
			st.flat = nil
		}
		for i := range donate {
			if buf := inputs[i].(*buffer); donate[i] && buf.flat != nil {
				x.b.memory.put(buf.shape.DType, buf.shape.Size(), buf.flat)
				buf.flat = nil
			}
		}
		if p := recover(); p != nil {
			n := x.main[current].n
			outs, err = nil, fmt.Errorf("backend cpu: execute %q: %s of %v: %v\n%s", x.name, n.op, n.shape, p, debug.Stack())
		}
	}()
	for i := range x.main {
		current = i
		x.main[i].run(nil, 0)
	}
	return outs, nil
}

// bind points the planned values into an arena.
func (x *executable) bind(a *arena) {
	if x.base == a {
		return
	}
	x.base = a
	for _, st := range x.planned {
		var p unsafe.Pointer
		if st.n > 0 {
			p = unsafe.Pointer(&a.words[st.at*8])
		}
		switch st.dt {
		case dtypes.Float32:
			st.flat = unsafe.Slice((*float32)(p), st.n)
		case dtypes.Float64:
			st.flat = unsafe.Slice((*float64)(p), st.n)
		case dtypes.BFloat16:
			st.flat = unsafe.Slice((*bf16)(p), st.n)
		case dtypes.Int32:
			st.flat = unsafe.Slice((*int32)(p), st.n)
		case dtypes.Int64:
			st.flat = unsafe.Slice((*int64)(p), st.n)
		case dtypes.Uint32:
			st.flat = unsafe.Slice((*uint32)(p), st.n)
		case dtypes.Uint8:
			st.flat = unsafe.Slice((*uint8)(p), st.n)
		case dtypes.Bool:
			st.flat = unsafe.Slice((*bool)(p), st.n)
		}
	}
}

// arena is memory for the values of one execution at a time. Executables share arenas: a step's graphs run one after the other.
type arena struct{ words []uint64 }

type arenas struct {
	mu   sync.Mutex
	free []*arena
}

// get lends an arena of at least lines, the preferred one if it can.
func (p *arenas) get(lines int, preferred *arena) *arena {
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
		return &arena{make([]uint64, 8*lines)}
	}
	a := p.free[best]
	p.free = append(p.free[:best], p.free[best+1:]...)
	if len(a.words) < 8*lines {
		return &arena{make([]uint64, 8*lines)}
	}
	return a
}

func (p *arenas) put(a *arena) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = append(p.free, a)
}

func (p *arenas) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = nil
}
