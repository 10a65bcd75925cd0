package cpu

import (
	"fmt"
	"runtime/debug"
	"slices"
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

// Execute runs the graph. Once it runs, donated inputs are consumed, whatever the outcome.
func (x *executable) Execute(inputs []backends.Buffer, donate []bool, _ backends.DeviceNum) ([]backends.Buffer, error) {
	handles := make([]buffer, len(x.results))
	outs := make([]backends.Buffer, len(x.results))
	for i := range outs {
		outs[i] = &handles[i]
	}
	if err := x.ExecuteInto(inputs, donate, outs); err != nil {
		return nil, err
	}
	return outs, nil
}

// ExecuteInto is Execute with the results in the caller's slice, one place per output: it allocates nothing once it has run before.
// A place holds nil, for a new handle, or a handle that this call makes valid again: one that is finalized or donated, be it in this call.
// No handle may stand in two places. After an error the places are as they were.
func (x *executable) ExecuteInto(inputs []backends.Buffer, donate []bool, outs []backends.Buffer) (err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.check(inputs, donate, outs); err != nil {
		return err
	}
	for i, in := range inputs {
		if st := x.bound[i]; st != nil {
			st.flat = in.(*buffer).flat
		}
	}
	for _, st := range x.results {
		st.flat = x.b.memory.get(st.dt, st.n)
	}
	a := x.b.arenas.get(x.lines, x.base)
	defer x.b.arenas.put(a)
	x.bind(a)
	current := 0
	defer func() {
		x.unbind(inputs, donate)
		if p := recover(); p != nil {
			n := x.main[current].n
			err = fmt.Errorf("backend cpu: execute %q: %s of %v: %v\n%s", x.name, n.op, n.shape, p, debug.Stack())
		} else {
			x.give(outs)
		}
		for _, st := range x.results {
			st.flat = nil
		}
	}()
	for i := range x.main {
		current = i
		x.main[i].run(nil, 0)
	}
	return nil
}

// check refuses operands and places for results that do not fit.
func (x *executable) check(inputs []backends.Buffer, donate []bool, outs []backends.Buffer) error {
	if x.b.IsFinalized() || x.done {
		return fmt.Errorf("backend cpu: execute %q: finalized", x.name)
	}
	if len(inputs) != len(x.params) || len(donate) != 0 && len(donate) != len(inputs) {
		return fmt.Errorf("backend cpu: execute %q: %d inputs for %d parameters", x.name, len(inputs), len(x.params))
	}
	for i, in := range inputs {
		buf, err := asBuffer(in)
		if err != nil {
			return fmt.Errorf("execute %q: parameter %q: %w", x.name, x.names[i], err)
		}
		if !buf.shape.Equal(x.params[i].shape) {
			return fmt.Errorf("backend cpu: execute %q: parameter %q is %s, not %s", x.name, x.names[i], buf.shape, x.params[i].shape)
		}
	}
	if len(outs) != len(x.results) {
		return fmt.Errorf("backend cpu: execute %q: %d places for %d results", x.name, len(outs), len(x.results))
	}
	for i, out := range outs {
		if out == nil {
			continue
		}
		buf, ok := out.(*buffer)
		if !ok || buf == nil {
			return fmt.Errorf("backend cpu: execute %q: the handle for result %d is of another backend (%T)", x.name, i, out)
		}
		if buf.flat != nil && !donated(inputs, donate, out) {
			return fmt.Errorf("backend cpu: execute %q: the handle for result %d is in use: finalize or donate it first", x.name, i)
		}
		if slices.Contains(outs[:i], out) {
			return fmt.Errorf("backend cpu: execute %q: the handle for result %d stands for another result too", x.name, i)
		}
	}
	return nil
}

func donated(inputs []backends.Buffer, donate []bool, b backends.Buffer) bool {
	for i := range donate {
		if donate[i] && inputs[i] == b {
			return true
		}
	}
	return false
}

// unbind takes the inputs' memory out of the plan and consumes what is donated.
func (x *executable) unbind(inputs []backends.Buffer, donate []bool) {
	for _, st := range x.bound {
		if st != nil {
			st.flat = nil
		}
	}
	for i := range donate {
		if buf := inputs[i].(*buffer); donate[i] && buf.flat != nil {
			x.b.memory.put(buf.shape.DType, buf.shape.Size(), buf.flat)
			buf.flat = nil
		}
	}
}

// give hands the results over.
func (x *executable) give(outs []backends.Buffer) {
	for i, st := range x.results {
		if outs[i] == nil {
			outs[i] = new(buffer)
		}
		*outs[i].(*buffer) = buffer{shape: x.outputs[i].shape, flat: st.flat}
	}
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

func newArena(lines int) *arena {
	a := &arena{make([]uint64, 8*lines)}
	advise(unsafe.Pointer(unsafe.SliceData(a.words)), uintptr(64*lines))
	return a
}

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
		return newArena(lines)
	}
	a := p.free[best]
	p.free = append(p.free[:best], p.free[best+1:]...)
	if len(a.words) < 8*lines {
		return newArena(lines)
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
