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

// executable is a compiled graph. It is safe for concurrent use; executions of one executable take turns.
type executable struct {
	dev          *device
	name         string
	names        []string // of the parameters
	paramShapes  []shapes.Shape
	resultShapes []shapes.Shape

	mu                sync.Mutex
	schedule          []step
	parameterStorages []*storage // nil: the parameter is not used
	resultStorages    []*storage
	arenaStorages     []*storage
	arenaLines        int
	boundArena        *arena // where the arena's storages lie at present
	sizes             *workerSizes
	done              bool
}

var _ backends.Executable = (*executable)(nil)

// Finalize drops the schedule.
func (x *executable) Finalize() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.done = true
	x.schedule, x.arenaStorages, x.boundArena = nil, nil, nil
}

// Inputs returns the parameters' names and shapes.
func (x *executable) Inputs() ([]string, []shapes.Shape) {
	return x.names, slices.Clone(x.paramShapes)
}

// Outputs returns the results' shapes.
func (x *executable) Outputs() []shapes.Shape { return slices.Clone(x.resultShapes) }

// Execute runs the graph. Once it runs, donated inputs are consumed, whatever the outcome.
func (x *executable) Execute(inputs []backends.Buffer, donate []bool, _ backends.DeviceNum) ([]backends.Buffer, error) {
	handles := make([]buffer, len(x.resultStorages))
	outs := make([]backends.Buffer, len(x.resultStorages))
	for i := range outs {
		outs[i] = &handles[i]
	}
	if err := x.ExecuteInto(inputs, donate, outs); err != nil {
		return nil, err
	}
	return outs, nil
}

// ExecuteInto is Execute with the results in outs, one per output. It allocates nothing once it has run before. An element of outs is
// nil, and gets a new handle, or it is a handle without memory, which this call makes valid again: one that was finalized, or donated
// earlier or in this call. No handle may occur twice. After an error outs is as it was.
func (x *executable) ExecuteInto(inputs []backends.Buffer, donate []bool, outs []backends.Buffer) (err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.check(inputs, donate, outs); err != nil {
		return err
	}
	for i, in := range inputs {
		if st := x.parameterStorages[i]; st != nil {
			st.flat = in.(*buffer).flat
		}
	}
	for _, st := range x.resultStorages {
		st.flat = x.dev.buffers.get(st.dt, st.n)
	}
	a := x.dev.arenas.get(x.arenaLines, x.boundArena)
	defer x.dev.arenas.put(a)
	x.bind(a)
	current := 0
	defer func() {
		x.unbind(inputs, donate)
		if p := recover(); p != nil {
			n := x.schedule[current].n
			err = fmt.Errorf("backend cpu: execute %q: %s of %v: %v\n%s", x.name, n.op, n.shape, p, debug.Stack())
		} else {
			x.handOver(outs)
		}
		for _, st := range x.resultStorages {
			st.flat = nil
		}
	}()
	for i := range x.schedule {
		current = i
		x.schedule[i].run(nil, 0)
	}
	return nil
}

// check refuses inputs and result handles that do not fit.
func (x *executable) check(inputs []backends.Buffer, donate []bool, outs []backends.Buffer) error {
	if x.dev.finalized.Load() || x.done {
		return fmt.Errorf("backend cpu: execute %q: finalized", x.name)
	}
	allDonations := len(donate) == 0 || len(donate) == len(inputs)
	if len(inputs) != len(x.paramShapes) || !allDonations {
		return fmt.Errorf("backend cpu: execute %q: %d inputs for %d parameters", x.name, len(inputs), len(x.paramShapes))
	}
	for i, in := range inputs {
		buf, err := asBuffer(in)
		if err != nil {
			return fmt.Errorf("execute %q: parameter %q: %w", x.name, x.names[i], err)
		}
		if !buf.shape.Equal(x.paramShapes[i]) {
			return fmt.Errorf("backend cpu: execute %q: parameter %q is %s, not %s", x.name, x.names[i], buf.shape, x.paramShapes[i])
		}
	}
	if len(outs) != len(x.resultStorages) {
		return fmt.Errorf("backend cpu: execute %q: %d handles for %d results", x.name, len(outs), len(x.resultStorages))
	}
	return x.checkHandles(inputs, donate, outs)
}

// checkHandles refuses result handles that are in use.
func (x *executable) checkHandles(inputs []backends.Buffer, donate []bool, outs []backends.Buffer) error {
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

// unbind takes the inputs' memory out of the storages and consumes the donated inputs.
func (x *executable) unbind(inputs []backends.Buffer, donate []bool) {
	for _, st := range x.parameterStorages {
		if st != nil {
			st.flat = nil
		}
	}
	for i := range donate {
		if buf := inputs[i].(*buffer); donate[i] && buf.flat != nil {
			x.dev.buffers.put(buf.shape.DType, buf.shape.Size(), buf.flat)
			buf.flat = nil
		}
	}
}

// handOver gives the results' memory to the caller's handles.
func (x *executable) handOver(outs []backends.Buffer) {
	for i, st := range x.resultStorages {
		if outs[i] == nil {
			outs[i] = new(buffer)
		}
		*outs[i].(*buffer) = buffer{shape: x.resultShapes[i], flat: st.flat}
	}
}

// bind points the arena's storages into an arena.
func (x *executable) bind(a *arena) {
	if x.boundArena == a {
		return
	}
	x.boundArena = a
	for _, st := range x.arenaStorages {
		var p unsafe.Pointer
		if st.n > 0 {
			p = unsafe.Pointer(&a.words[st.line*8])
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
