package cpu

import (
	"fmt"
	"runtime/debug"
	"slices"

	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/pkg/core/shapes"
)

// executable runs the nodes that the outputs need, in the order they were built. Safe for concurrent use.
type executable struct {
	b       *Backend
	name    string
	params  []*node
	names   []string
	order   []*node
	outputs []*node
	uses    []int
	limit   int
}

var _ backends.Executable = (*executable)(nil)

func newExecutable(b *builder, outputs []*node) *executable {
	x := &executable{b: b.backend, name: b.name, params: b.params, names: b.names, outputs: outputs, limit: len(b.nodes)}
	x.uses = make([]int, len(b.nodes))
	for _, o := range outputs {
		x.uses[o.idx]++
	}
	for i := len(b.nodes) - 1; i >= 0; i-- {
		if x.uses[i] == 0 {
			continue
		}
		x.order = append(x.order, b.nodes[i])
		for _, in := range b.nodes[i].inputs {
			x.uses[in.idx]++
		}
	}
	slices.Reverse(x.order)
	return x
}

// Finalize drops the plan.
func (x *executable) Finalize() { x.order = nil }

// Inputs returns the parameters' names and shapes.
func (x *executable) Inputs() ([]string, []shapes.Shape) { return x.names, nodeShapes(x.params) }

// Outputs returns the results' shapes.
func (x *executable) Outputs() []shapes.Shape { return nodeShapes(x.outputs) }

func nodeShapes(nodes []*node) []shapes.Shape {
	s := make([]shapes.Shape, len(nodes))
	for i, n := range nodes {
		s[i] = n.shape
	}
	return s
}

// run is one execution's state.
type run struct {
	*executable
	vals []*value
	left []int
}

// Execute runs the graph. Donated inputs are consumed, whatever the outcome.
func (x *executable) Execute(inputs []backends.Buffer, donate []bool, _ backends.DeviceNum) (outs []backends.Buffer, err error) {
	if x.b.IsFinalized() || x.order == nil && len(x.outputs) > 0 {
		return nil, fmt.Errorf("backend cpu: execute %q: finalized", x.name)
	}
	if len(inputs) != len(x.params) || len(donate) != 0 && len(donate) != len(inputs) {
		return nil, fmt.Errorf("backend cpu: execute %q: %d inputs for %d parameters", x.name, len(inputs), len(x.params))
	}
	r := &run{executable: x, vals: make([]*value, x.limit), left: slices.Clone(x.uses)}
	bufs := make([]*buffer, len(inputs))
	for i, in := range inputs {
		if bufs[i], err = asBuffer(in); err != nil {
			return nil, fmt.Errorf("execute %q: parameter %q: %w", x.name, x.names[i], err)
		}
		if !bufs[i].shape.Equal(x.params[i].shape) {
			return nil, fmt.Errorf("backend cpu: execute %q: parameter %q is %s, not %s", x.name, x.names[i], bufs[i].shape, x.params[i].shape)
		}
	}
	seen := map[*buffer]int{}
	for _, b := range bufs {
		seen[b]++
	}
	for i, b := range bufs {
		given := len(donate) > 0 && donate[i] && seen[b] == 1
		st := &storage{flat: b.flat, dt: b.shape.DType, n: b.shape.Size(), borrowed: !given}
		if x.uses[x.params[i].idx] > 0 {
			r.vals[x.params[i].idx] = dense(st, b.shape)
		} else if given {
			x.b.memory.put(st)
		}
	}
	for i, b := range bufs {
		if len(donate) > 0 && donate[i] {
			b.flat = nil
		}
	}
	var current *node
	defer func() {
		if p := recover(); p != nil {
			outs, err = nil, fmt.Errorf("backend cpu: execute %q: %s of %v: %v\n%s", x.name, current.op, current.shape, p, debug.Stack())
		}
	}()
	for _, n := range x.order {
		current = n
		if n.op != backends.OpTypeParameter {
			r.vals[n.idx] = r.eval(n)
		}
		for _, in := range n.inputs {
			r.drop(in)
		}
	}
	taken := map[*storage]bool{}
	for _, n := range x.outputs {
		v := r.vals[n.idx]
		if v.st.borrowed || v.st.refs != 1 || v.off != 0 || v.st.n != v.size() || !v.contiguous() || taken[v.st] || r.left[n.idx] > 1 {
			v = r.materialise(v)
		} else {
			v.st.refs++
		}
		taken[v.st] = true
		outs = append(outs, &buffer{shape: n.shape, flat: v.st.flat})
		r.drop(n)
	}
	return outs, nil
}

func (r *run) drop(n *node) {
	if r.left[n.idx]--; r.left[n.idx] == 0 {
		r.b.memory.release(r.vals[n.idx])
		r.vals[n.idx] = nil
	}
}

func (r *run) fresh(shape shapes.Shape) *value {
	return dense(r.b.memory.get(shape.DType, shape.Size()), shape)
}

// materialise copies a view to memory of its own.
func (r *run) materialise(v *value) *value {
	out := r.fresh(shapes.Make(v.dt(), v.dims...))
	copyView(r.b.pool, out, v)
	return out
}

// reuse gives the memory of an operand that dies here and looks like the result, or fresh memory.
func (r *run) reuse(n *node) *value {
	for _, in := range n.inputs {
		v := r.vals[in.idx]
		if r.left[in.idx] == 1 && v.st.refs == 1 && !v.st.borrowed && v.dt() == n.shape.DType && v.off == 0 &&
			v.st.n == n.shape.Size() && slices.Equal(v.dims, n.shape.Dimensions) && v.contiguous() {
			return dense(v.st, n.shape)
		}
	}
	return r.fresh(n.shape)
}
