package trm

import (
	"errors"
	"fmt"
	"slices"

	"github.com/gomlx/gomlx/backends"

	"trmsweep/internal/tensor"
)

var errNoState = errors.New("the model has no state yet: Load comes first")

// Model is a TRM with its training state on a backend. It is not safe for concurrent use.
type Model struct {
	dev          device
	cfg          Config
	vars         []variable
	arrays       map[string]*deviceBuffer // that several programs share: the state, "next/" carries and "grad/" gradients
	state        []*deviceBuffer          // in the order of vars
	carries      []carryBuffers
	loaded       bool // the state has values
	hasGradients bool // Apply can follow
	keepOutputs  bool // the gradients program also returns logits and predictions; tests set it

	gradients *program // nil until it is compiled, as are the following
	apply     *program
	evals     map[int]*program // by the number of rows

	noMinSteps []int32   // zeros
	scalar     []float32 // one value on its way to the backend
	loss       any       // []float64, one value
	metrics    any       // []float64, as the gradients program returns them
}

// carryBuffers are an array of the carry and the one that waits in next until its step is known to be finite.
type carryBuffers struct{ next, current *deviceBuffer }

// New prepares a model. Its graphs are compiled when they are first used. The state is empty until Load.
func New(backend backends.Backend, cfg Config) (*Model, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	registerVJPs()
	m := &Model{
		dev:        newDevice(backend),
		cfg:        cfg,
		vars:       cfg.variables(),
		arrays:     map[string]*deviceBuffer{},
		evals:      map[int]*program{},
		noMinSteps: make([]int32, cfg.BatchSize),
		scalar:     make([]float32, 1),
		loss:       make([]float64, 1),
		metrics:    make([]float64, numMetrics),
	}
	add := func(name string, dt tensor.DType, shape ...int) *deviceBuffer {
		m.arrays[name] = newDeviceBuffer(name, dt, shape...)
		return m.arrays[name]
	}
	for _, v := range m.vars {
		a := add(v.name, v.dtype, v.shape...)
		m.state = append(m.state, a)
		if kind, rest := cutKind(v.name); kind == "carry" {
			m.carries = append(m.carries, carryBuffers{next: add("next/"+rest, v.dtype, v.shape...), current: a})
		}
	}
	for _, p := range cfg.Params() {
		add("grad/"+p.Name, tensor.F32, p.Shape...)
	}
	if cfg.PuzzleEmbNDim > 0 {
		add("grad/"+localGrad, tensor.F32, cfg.BatchSize, cfg.PuzzleEmbNDim)
	}
	return m, nil
}

// Close frees the state and the compiled graphs.
func (m *Model) Close() {
	m.loaded, m.hasGradients = false, false
	for _, a := range m.arrays {
		m.dev.drop(a)
	}
	for _, p := range m.evals {
		m.dev.close(p)
	}
	m.dev.close(m.gradients)
	m.dev.close(m.apply)
	m.gradients, m.apply = nil, nil
	m.evals = map[int]*program{}
}

// Load replaces the whole state. Names, types and shapes must be exactly those of the configuration.
func (m *Model) Load(s tensor.State) error {
	if err := m.checkState(s); err != nil {
		return fmt.Errorf("load model state: %w", err)
	}
	m.loaded = false
	m.dropGradients()
	for i, v := range m.vars {
		if err := m.dev.load(m.state[i], s[v.name].Data); err != nil {
			return fmt.Errorf("load model state: %q: %w", v.name, err)
		}
	}
	m.loaded = true
	return nil
}

func (m *Model) checkState(s tensor.State) error {
	want := map[string]bool{}
	for _, v := range m.vars {
		want[v.name] = true
		a, ok := s[v.name]
		if !ok {
			return fmt.Errorf("%q is missing", v.name)
		}
		if a.DType != v.dtype || !slices.Equal(a.Shape, v.shape) {
			return fmt.Errorf("%q is %s %v, this model has %s %v", v.name, a.DType, a.Shape, v.dtype, v.shape)
		}
		if err := a.Check(); err != nil {
			return fmt.Errorf("%q: %w", v.name, err)
		}
	}
	for name := range s {
		if !want[name] {
			return fmt.Errorf("%q is not part of this model", name)
		}
	}
	return nil
}

// SetGradients replaces gradients before Apply. Nothing calls it yet: data parallel training will replace them by sums over all ranks.
func (m *Model) SetGradients(s tensor.State) error {
	for name, a := range s {
		old := m.arrays["grad/"+name]
		if old == nil || old.buf == nil || !slices.Equal(old.shape.Dimensions, a.Shape) || a.DType != tensor.F32 {
			return fmt.Errorf("set gradients: %q of %s %v does not fit this model", name, a.DType, a.Shape)
		}
		if err := m.dev.load(old, a.Data); err != nil {
			return fmt.Errorf("set gradients: %q: %w", name, err)
		}
	}
	return nil
}

func (m *Model) dropGradients() {
	m.hasGradients = false
	for name, a := range m.arrays {
		if kind, _ := cutKind(name); kind == "grad" {
			m.dev.drop(a)
		}
	}
}
