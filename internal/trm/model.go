package trm

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/pkg/core/dtypes"
	"github.com/gomlx/gomlx/pkg/core/graph"
	"github.com/gomlx/gomlx/pkg/core/shapes"
	"github.com/gomlx/gomlx/pkg/core/tensors"

	"trmsweep/internal/tensor"
)

// Model is a TRM with its training state on a backend. It is not safe for concurrent use.
type Model struct {
	backend backends.Backend
	cfg     Config
	vars    []variable
	state   map[string]*tensors.Tensor
	grads   map[string]*tensors.Tensor // between Gradients and Apply, by parameter name
	last    map[string]*tensors.Tensor // metrics of the last step and, where keep is set, its outputs
	keep    bool
	gradX   *program
	applyX  *program
	evalX   map[int]*program
}

// variable is one named tensor of the state.
type variable struct {
	name  string
	dtype tensor.DType
	shape []int
}

const puzzleEmb = "puzzle_emb/weights"

var toGoMLX = map[tensor.DType]dtypes.DType{tensor.F32: dtypes.Float32, tensor.F64: dtypes.Float64, tensor.BF16: dtypes.BFloat16,
	tensor.I32: dtypes.Int32, tensor.I64: dtypes.Int64, tensor.U8: dtypes.Uint8, tensor.Bool: dtypes.Bool}

func (c Config) dtype() dtypes.DType {
	if c.ForwardDType == "bfloat16" {
		return dtypes.BFloat16
	}
	return dtypes.Float32
}

func trim(s, suffix string) (string, bool) { return strings.CutSuffix(s, suffix) }

// variables lists the state in a fixed order.
func (c Config) variables() []variable {
	var vs []variable
	prefixes := []string{"param/", "adam_m/", "adam_v/"}
	if c.EMA {
		prefixes = append(prefixes, "ema/")
	}
	for _, prefix := range prefixes {
		for _, p := range c.Params() {
			vs = append(vs, variable{prefix + p.Name, tensor.F32, p.Shape})
		}
	}
	if c.PuzzleEmbNDim > 0 {
		vs = append(vs, variable{puzzleEmb, tensor.F32, []int{c.NumPuzzleIdentifiers, c.PuzzleEmbNDim}})
	}
	z := tensor.F32
	if c.ForwardDType == "bfloat16" {
		z = tensor.BF16
	}
	b := c.BatchSize
	return append(vs,
		variable{"const/H_init", tensor.F32, []int{c.HiddenSize}}, variable{"const/L_init", tensor.F32, []int{c.HiddenSize}},
		variable{"carry/z_H", z, []int{b, c.Length(), c.HiddenSize}}, variable{"carry/z_L", z, []int{b, c.Length(), c.HiddenSize}},
		variable{"carry/steps", tensor.I32, []int{b}}, variable{"carry/halted", tensor.Bool, []int{b}},
		variable{"carry/inputs", tensor.U8, []int{b, c.SeqLen}}, variable{"carry/labels", tensor.U8, []int{b, c.SeqLen}},
		variable{"carry/puzzle_ids", tensor.I32, []int{b}})
}

// New prepares a model; its graphs are compiled when first used. The state is empty until Load.
func New(backend backends.Backend, cfg Config) (*Model, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	register()
	return &Model{backend: backend, cfg: cfg, vars: cfg.variables(), state: map[string]*tensors.Tensor{},
		grads: map[string]*tensors.Tensor{}, last: map[string]*tensors.Tensor{}, evalX: map[int]*program{}}, nil
}

// Config is the configuration the model was made with.
func (m *Model) Config() Config { return m.cfg }

// Close frees the state and the compiled graphs.
func (m *Model) Close() {
	for _, set := range []map[string]*tensors.Tensor{m.state, m.grads, m.last} {
		drop(set)
	}
	for _, p := range append(slices.Collect(maps.Values(m.evalX)), m.gradX, m.applyX) {
		if p != nil {
			p.g.Finalize()
		}
	}
	m.gradX, m.applyX, m.evalX = nil, nil, map[int]*program{}
}

func drop(set map[string]*tensors.Tensor) {
	for name, t := range set {
		_ = t.FinalizeAll()
		delete(set, name)
	}
}

// Load replaces the whole state. Names, types and shapes must be exactly those of the configuration.
func (m *Model) Load(s tensor.State) error {
	want := map[string]bool{}
	for _, v := range m.vars {
		want[v.name] = true
		a, ok := s[v.name]
		if !ok {
			return fmt.Errorf("load model state: %q is missing", v.name)
		}
		if a.DType != v.dtype || !slices.Equal(a.Shape, v.shape) {
			return fmt.Errorf("load model state: %q is %s %v, this model has %s %v", v.name, a.DType, a.Shape, v.dtype, v.shape)
		}
		if err := a.Check(); err != nil {
			return fmt.Errorf("load model state: %q: %w", v.name, err)
		}
	}
	for name := range s {
		if !want[name] {
			return fmt.Errorf("load model state: %q is not part of this model", name)
		}
	}
	drop(m.state)
	drop(m.grads)
	for name, a := range s {
		t, err := fromHost(a)
		if err != nil {
			return fmt.Errorf("load model state: %q: %w", name, err)
		}
		m.state[name] = t
	}
	return nil
}

func fromHost(a tensor.Array) (*tensors.Tensor, error) {
	t := tensors.FromShape(shapes.Make(toGoMLX[a.DType], a.Shape...))
	err := t.MutableBytes(func(data []byte) { copy(data, a.Data) })
	return t, err
}

func toHost(t *tensors.Tensor) (tensor.Array, error) {
	a := tensor.Array{Shape: slices.Clone(t.Shape().Dimensions)}
	for dt, g := range toGoMLX {
		if g == t.Shape().DType {
			a.DType = dt
		}
	}
	err := t.ConstBytes(func(data []byte) { a.Data = slices.Clone(data) })
	return a, err
}

// Snapshot is a copy of the whole state.
func (m *Model) Snapshot() (tensor.State, error) {
	if len(m.state) == 0 {
		return nil, errNoState
	}
	return copyOut(m.state)
}

// LastGradients is a copy of the gradients that Gradients left: one per
// parameter by its reference name, and "puzzle_emb.local_weights" [B, ndim].
func (m *Model) LastGradients() (tensor.State, error) { return copyOut(m.grads) }

// SetGradients replaces gradients before Apply, for example by sums over all ranks.
func (m *Model) SetGradients(s tensor.State) error {
	for name, a := range s {
		old := m.grads[name]
		if old == nil || !slices.Equal(old.Shape().Dimensions, a.Shape) || a.DType != tensor.F32 {
			return fmt.Errorf("set gradients: %q of %s %v does not fit this model", name, a.DType, a.Shape)
		}
		t, err := fromHost(a)
		if err != nil {
			return fmt.Errorf("set gradients: %q: %w", name, err)
		}
		_ = old.FinalizeAll()
		m.grads[name] = t
	}
	return nil
}

// KeepOutputs makes the next steps keep what LastOutputs returns. Training does not
// need it. A change compiles the gradient graph again.
func (m *Model) KeepOutputs(on bool) {
	if m.keep != on && m.gradX != nil {
		m.gradX.g.Finalize()
		m.gradX = nil
	}
	m.keep = on
}

// LastOutputs are logits [B, cells, vocabulary], preds, q_halt and q_continue of the last step; see KeepOutputs.
func (m *Model) LastOutputs() (tensor.State, error) {
	if m.last["logits"] == nil {
		return nil, errors.New("no outputs: KeepOutputs and a step come first")
	}
	return copyOut(m.last)
}

func copyOut(from map[string]*tensors.Tensor) (tensor.State, error) {
	s := tensor.State{}
	for name, t := range from {
		a, err := toHost(t)
		if err != nil {
			return nil, fmt.Errorf("copy %q to the host: %w", name, err)
		}
		s[name] = a
	}
	return s, nil
}

// program is a compiled graph with named inputs and outputs.
type program struct {
	g       *graph.Graph
	inputs  []string
	outputs []string
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

// build compiles a graph. body declares parameters through param and returns named outputs.
func (m *Model) build(name string, body func(g *graph.Graph, param func(name string, dt tensor.DType, shape ...int) *graph.Node) (names []string, nodes []*graph.Node)) (*program, error) {
	p := &program{}
	err := try("build the "+name+" graph", func() {
		p.g = graph.NewGraph(m.backend, name)
		defer forget(p.g)
		var nodes []*graph.Node
		p.outputs, nodes = body(p.g, func(name string, dt tensor.DType, shape ...int) *graph.Node {
			p.inputs = append(p.inputs, name)
			return graph.Parameter(p.g, name, shapes.Make(toGoMLX[dt], shape...))
		})
		p.g.Compile(nodes...)
	})
	return p, err
}

// run executes; in gives every input by name. The memory of those that donate
// accepts goes to the outputs: they must not be used again, whatever the outcome.
func (m *Model) run(p *program, in map[string]*tensors.Tensor, donate func(name string) bool) (map[string]*tensors.Tensor, error) {
	args := make([]any, len(p.inputs))
	for i, name := range p.inputs {
		if in[name] == nil {
			return nil, fmt.Errorf("run %s: no value for %q", p.g.Name(), name)
		}
		args[i] = in[name]
	}
	// XLA must not be given memory that it shares with the host; the backends in Go may.
	shared := m.backend.Name() == "cpu" || m.backend.Name() == "go"
	for i, name := range p.inputs {
		if donate == nil || !donate(name) || in[name].IsShared() && !shared {
			continue
		}
		var err error
		if args[i], err = graph.DonateTensorBuffer(in[name], m.backend, 0); err != nil {
			return nil, fmt.Errorf("run %s: donate %q: %w", p.g.Name(), name, err)
		}
	}
	out := make(map[string]*tensors.Tensor, len(p.outputs))
	err := try("run "+p.g.Name(), func() {
		for i, t := range p.g.Run(args...) {
			out[p.outputs[i]] = t
		}
	})
	return out, err
}

func scalar(v float64) *tensors.Tensor { return tensors.FromScalar(float32(v)) }

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
