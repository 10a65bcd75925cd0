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
	arrays       map[string]*deviceBuffer // that several programs share: the state, "next/" carries, "grad/" and "sum/" gradients
	state        [][]*deviceBuffer        // in the order of vars: one buffer, or one per shard
	shards       []shard
	tree         *gradientTree
	loaded       bool // the state has values
	hasGradients bool // Apply can follow
	keepOutputs  bool // the gradients program also returns logits and predictions; tests set it

	apply *program         // nil until it is compiled, as those of the shards and the tree
	evals map[int]*program // by the number of rows

	noMinSteps []int32   // zeros
	scalar     []float32 // one value on its way to the backend
	loss       any       // []float64, one value
	metrics    any       // []float64, as the gradients program returns them
	losses     []float64 // of the shards
	ofShards   []Metrics
}

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
		losses:     make([]float64, cfg.shardCount()),
		ofShards:   make([]Metrics, cfg.shardCount()),
	}
	m.shards, m.state = cfg.newShards(m.arrays)
	m.tree = newGradientTree(cfg, m.arrays)
	return m, nil
}

// Close frees the state and the compiled graphs.
func (m *Model) Close() {
	m.loaded, m.hasGradients = false, false
	m.dropState()
	m.dropNext()
	m.dropGradients()
	for _, p := range m.evals {
		m.dev.close(p)
	}
	m.closeGradients()
	m.dev.close(m.tree.add)
	m.dev.close(m.apply)
	m.tree.add, m.apply = nil, nil
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
		if err := m.loadVariable(m.state[i], s[v.name].Data); err != nil {
			return fmt.Errorf("load model state: %q: %w", v.name, err)
		}
	}
	m.loaded = true
	return nil
}

// loadVariable gives every part of an array its rows.
func (m *Model) loadVariable(parts []*deviceBuffer, data []byte) error {
	n := len(data) / len(parts)
	for k, a := range parts {
		if err := m.dev.load(a, data[k*n:(k+1)*n]); err != nil {
			return err
		}
	}
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

// dropState frees the state.
func (m *Model) dropState() {
	for _, parts := range m.state {
		m.dev.drop(parts...)
	}
}

// dropNext frees the carries that a step has made, or was to write into.
func (m *Model) dropNext() {
	for _, s := range m.shards {
		for _, c := range s.carries {
			m.dev.drop(c.next)
		}
	}
}

func (m *Model) dropGradients() {
	m.hasGradients = false
	m.dev.drop(m.tree.buffers()...)
}
