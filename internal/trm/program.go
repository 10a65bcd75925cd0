package trm

import (
	"fmt"
	"slices"

	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/pkg/core/graph"
	"github.com/gomlx/gomlx/pkg/core/shapes"

	"trmsweep/internal/tensor"
)

// program is a compiled graph between arrays. It is executed without GoMLX's tensors, which cost several allocations each.
type program struct {
	g       *graph.Graph
	exec    backends.Executable
	into    intoer // exec, where it has that
	inputs  []*held
	outputs []*held
	spend   []bool           // the inputs whose values the execution may use up
	own     map[string]*held // those that no other program knows
	in, out []backends.Buffer
}

// intoer is an executable that puts its results into handles of the caller: nil, or without values, or donated in the same call.
type intoer interface {
	ExecuteInto(inputs []backends.Buffer, donate []bool, outs []backends.Buffer) error
}

// aliaser is a builder whose programs can compute a result in the memory of an input that is donated. Both are counted from 0, in
// the order of the program's.
type aliaser interface {
	Alias(parameter, result int)
}

// capture is a backend that keeps what a graph is built with; GoMLX's Graph does not give it away.
type capture struct {
	backends.Backend
	aliaser aliaser // the graph's builder, where it is one
	exec    backends.Executable
}

type capturing struct {
	backends.Builder
	to *capture
}

// Builder starts a graph on the backend itself.
func (c *capture) Builder(name string) backends.Builder {
	b := c.Backend.Builder(name)
	c.aliaser, _ = b.(aliaser)
	return capturing{b, c}
}

// Compile compiles the graph and keeps the result.
func (c capturing) Compile(outputs []backends.Op, shardings []*backends.ShardingSpec) (backends.Executable, error) {
	exec, err := c.Builder.Compile(outputs, shardings)
	c.to.exec = exec
	return exec, err
}

// try turns GoMLX's panics into errors.
func try(what string, f func()) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s: %v", what, p)
		}
	}()
	f()
	return nil
}

type paramFunc = func(name string, dt tensor.DType, shape ...int) *graph.Node

// build compiles a graph. body declares parameters through param and returns named outputs; the names are those of the model's
// arrays or new ones. An execution may use up the inputs that spend accepts; one that is an output too must be among them.
func (m *Model) build(name string, body func(g *graph.Graph, param paramFunc) (names []string, nodes []*graph.Node), spend func(name string) bool) (*program, error) {
	p := &program{own: map[string]*held{}}
	err := try("build the "+name+" graph", func() {
		backend := &capture{Backend: m.dev.Backend}
		p.g = graph.NewGraph(backend, name)
		defer forget(p.g)
		names, nodes := body(p.g, func(name string, dt tensor.DType, dims ...int) *graph.Node {
			shape := shapes.Make(toGoMLX[dt], dims...)
			p.inputs = append(p.inputs, m.find(p, name, shape))
			p.spend = append(p.spend, spend != nil && spend(name))
			node := graph.Parameter(p.g, name, shape) // the first makes the graph's builder
			m.dev.aliases = backend.aliaser != nil
			return node
		})
		for i, n := range nodes {
			p.outputs = append(p.outputs, m.find(p, names[i], n.Shape()))
		}
		if m.dev.aliases {
			p.alias(backend.aliaser)
		}
		p.g.Compile(nodes...)
		p.exec = backend.exec
		p.into, _ = p.exec.(intoer)
		p.in, p.out = make([]backends.Buffer, len(p.inputs)), make([]backends.Buffer, len(p.outputs))
	})
	return p, err
}

// find finds an array of the model or the program, or makes one for the program.
func (m *Model) find(p *program, name string, shape shapes.Shape) *held {
	a := m.arrays[name]
	if a == nil {
		a = p.own[name]
	}
	if a == nil {
		a = &held{name: name, shape: shape.Clone()}
		p.own[name] = a
	}
	if !a.shape.Equal(shape) {
		panic(fmt.Sprintf("%q is %s here and %s elsewhere", name, shape, a.shape))
	}
	return a
}

// alias lets every result that replaces an input which may be spent take its memory.
func (p *program) alias(to aliaser) {
	for i, a := range p.inputs {
		if result := slices.Index(p.outputs, a); p.spend[i] && result >= 0 {
			to.Alias(i, result)
		}
	}
}

// run executes. Inputs that may be spent have no values afterwards, also after an error where the backend takes donations;
// values that the outputs had before are gone.
func (d device) run(p *program) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("run %s: %v", p.g.Name(), r)
		}
	}()
	for i, a := range p.inputs {
		if a.buf == nil {
			return fmt.Errorf("run %s: no values for %q", p.g.Name(), a.name)
		}
		p.in[i] = a.buf
	}
	donate := p.spend
	if !d.host && !d.aliases {
		donate = nil
	}
	if donate != nil {
		for i, a := range p.inputs {
			if p.spend[i] {
				a.buf, a.spent = nil, a.buf
			}
		}
		d.drop(p.outputs...)
	}
	if err := p.execute(donate); err != nil {
		if d.aliases {
			d.finalizeSpent(p)
		}
		return fmt.Errorf("run %s: %w", p.g.Name(), err)
	}
	if donate == nil {
		for i, a := range p.inputs {
			if p.spend[i] {
				d.drop(a)
			}
		}
		d.drop(p.outputs...)
	}
	for i, a := range p.outputs {
		a.buf, a.spent = p.out[i], nil
	}
	return nil
}

// finalizeSpent frees the inputs that an execution was given and, since it failed, may not have taken.
func (d device) finalizeSpent(p *program) {
	for i, buf := range p.in {
		if p.spend[i] {
			_ = d.BufferFinalize(buf)
		}
	}
}

// execute leaves the results in p.out.
func (p *program) execute(donate []bool) error {
	if p.into != nil {
		for i, a := range p.outputs {
			p.out[i] = a.spent
		}
		return p.into.ExecuteInto(p.in, donate, p.out)
	}
	out, err := p.exec.Execute(p.in, donate, 0)
	copy(p.out, out)
	return err
}

// close frees the graph and what only it knows.
func (d device) close(p *program) {
	if p == nil {
		return
	}
	for _, a := range p.own {
		d.drop(a)
	}
	p.g.Finalize()
}
