package trm

import (
	"fmt"
	"maps"
	"slices"

	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/pkg/core/graph"
	"github.com/gomlx/gomlx/pkg/core/shapes"

	"trmsweep/internal/tensor"
)

// program is a compiled graph between device buffers. It is executed without GoMLX's tensors, which cost several allocations each.
type program struct {
	g       *graph.Graph
	exec    backends.Executable
	reusing reusingExecutable // exec, or nil if it is none
	inputs  []*deviceBuffer
	outputs []*deviceBuffer
	donated []bool                   // the inputs that an execution is given
	aliases bool                     // a result can be written into a donated input
	own     map[string]*deviceBuffer // those that no other program has
	in, out []backends.Buffer        // of an execution
}

// reusingExecutable is an executable that can return its results in handles of the caller. An element of outs is nil, a handle without
// memory, or a handle that is donated in the same call.
type reusingExecutable interface {
	ExecuteInto(inputs []backends.Buffer, donate []bool, outs []backends.Buffer) error
}

// aliasBuilder is a builder whose programs can write a result into the memory of a donated input. Parameters and results are numbered
// from 0.
type aliasBuilder interface {
	Alias(parameter, result int)
}

// capturingBackend keeps the builder and the executable of the graph that is built on it, which GoMLX's Graph does not give away.
type capturingBackend struct {
	backends.Backend
	aliases aliasBuilder // the graph's builder, or nil if it is none
	exec    backends.Executable
}

// capturingBuilder is the builder of a capturingBackend.
type capturingBuilder struct {
	backends.Builder
	to *capturingBackend
}

// Builder starts a graph on the backend itself.
func (c *capturingBackend) Builder(name string) backends.Builder {
	b := c.Backend.Builder(name)
	c.aliases, _ = b.(aliasBuilder)
	return capturingBuilder{b, c}
}

// Compile compiles the graph and keeps the result.
func (c capturingBuilder) Compile(outputs []backends.Op, shardings []*backends.ShardingSpec) (backends.Executable, error) {
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

// paramFunc declares a parameter of a graph.
type paramFunc = func(name string, dt tensor.DType, shape ...int) *graph.Node

// graphBody adds the operations of a graph. It declares parameters through param and returns named outputs.
type graphBody = func(g *graph.Graph, param paramFunc) (names []string, nodes []*graph.Node)

// build compiles a graph. Parameters and outputs are the arrays of their names, or new buffers of the program. An execution is given the
// inputs that donated accepts, which must include every input that is an output too.
func (d device) build(name string, arrays map[string]*deviceBuffer, body graphBody, donated func(name string) bool) (*program, error) {
	p := &program{own: map[string]*deviceBuffer{}}
	err := try("build the "+name+" graph", func() {
		backend := &capturingBackend{Backend: d.Backend}
		p.g = graph.NewGraph(backend, name)
		defer forgetVJPs(p.g)
		names, nodes := body(p.g, func(name string, dt tensor.DType, dims ...int) *graph.Node {
			shape := shapes.Make(toGoMLX[dt], dims...)
			p.inputs = append(p.inputs, p.find(arrays, name, shape))
			p.donated = append(p.donated, donated != nil && donated(name))
			return graph.Parameter(p.g, name, shape)
		})
		for i, n := range nodes {
			p.outputs = append(p.outputs, p.find(arrays, names[i], n.Shape()))
		}
		if to := aliasesOf(p.g); to != nil {
			p.aliases = true
			p.alias(to)
		}
		p.g.Compile(nodes...)
		p.exec = backend.exec
		p.reusing, _ = p.exec.(reusingExecutable)
		p.in, p.out = make([]backends.Buffer, len(p.inputs)), make([]backends.Buffer, len(p.outputs))
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

// aliasesOf is what a graph's results are aliased by, nil if they cannot be. It is known once the graph has a parameter.
func aliasesOf(g *graph.Graph) aliasBuilder {
	if b, ok := g.Backend().(*capturingBackend); ok {
		return b.aliases
	}
	return nil
}

// find finds a buffer among arrays or the program's own, or makes one for the program.
func (p *program) find(arrays map[string]*deviceBuffer, name string, shape shapes.Shape) *deviceBuffer {
	a := arrays[name]
	if a == nil {
		a = p.own[name]
	}
	if a == nil {
		a = &deviceBuffer{name: name, shape: shape.Clone()}
		p.own[name] = a
	}
	if !a.shape.Equal(shape) {
		panic(fmt.Sprintf("%q is %s here and %s elsewhere", name, shape, a.shape))
	}
	return a
}

// alias lets every output that replaces a donated input take its memory.
func (p *program) alias(to aliasBuilder) {
	for i, a := range p.inputs {
		if result := slices.Index(p.outputs, a); p.donated[i] && result >= 0 {
			to.Alias(i, result)
		}
	}
}

// run executes a program. Afterwards the donated inputs have no values, also after an error if the backend takes donations, and the
// outputs have new ones.
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
	if d.host || p.aliases {
		err = d.executeDonating(p)
	} else {
		err = d.executeAndDrop(p)
	}
	if err != nil {
		return fmt.Errorf("run %s: %w", p.g.Name(), err)
	}
	for i, a := range p.outputs {
		a.buf, a.spare = p.out[i], nil
	}
	return nil
}

// executeDonating gives the donated inputs to the execution, after the outputs' old values are dropped.
func (d device) executeDonating(p *program) error {
	for i, a := range p.inputs {
		if p.donated[i] {
			a.buf, a.spare = nil, a.buf
		}
	}
	d.drop(p.outputs...)
	err := p.execute(p.donated)
	if err != nil && p.aliases {
		for i, buf := range p.in { // the execution failed and may not have taken them
			if p.donated[i] {
				_ = d.BufferFinalize(buf)
			}
		}
	}
	return err
}

// executeAndDrop is for a backend that takes no donations: what would be donated, and the outputs' old values, are dropped after the
// execution.
func (d device) executeAndDrop(p *program) error {
	if err := p.execute(nil); err != nil {
		return err
	}
	for i, a := range p.inputs {
		if p.donated[i] {
			d.drop(a)
		}
	}
	d.drop(p.outputs...)
	return nil
}

// execute leaves the results in p.out.
func (p *program) execute(donate []bool) error {
	if p.reusing != nil {
		for i, a := range p.outputs {
			p.out[i] = a.spare
		}
		return p.reusing.ExecuteInto(p.in, donate, p.out)
	}
	out, err := p.exec.Execute(p.in, donate, 0)
	copy(p.out, out)
	return err
}

// with returns the program with other buffers in the place of some of its own inputs and outputs, and with results of its own. Its other
// buffers and the compiled graph are shared.
func (p *program) with(other map[*deviceBuffer]*deviceBuffer) *program {
	q := *p
	q.own = maps.Clone(p.own)
	for _, a := range p.outputs {
		if p.own[a.name] == a {
			q.own[a.name] = &deviceBuffer{name: a.name, shape: a.shape}
			other[a] = q.own[a.name]
		}
	}
	replace := func(all []*deviceBuffer) []*deviceBuffer {
		all = slices.Clone(all)
		for i, a := range all {
			if b := other[a]; b != nil {
				all[i] = b
			}
		}
		return all
	}
	q.inputs, q.outputs = replace(p.inputs), replace(p.outputs)
	return &q
}

// close frees the graph and the buffers that only it has.
func (d device) close(p *program) {
	if p == nil {
		return
	}
	for _, a := range p.own {
		d.drop(a)
	}
	p.g.Finalize()
}
