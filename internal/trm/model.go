package trm

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/pkg/core/dtypes"

	"trmsweep/internal/tensor"
)

// Model is a TRM with its training state on a backend. It is not safe for concurrent use.
type Model struct {
	dev     device
	cfg     Config
	vars    []variable
	arrays  map[string]*held // of several programs: the state, "next/" carries and "grad/" gradients
	state   []*held          // in the order of vars
	moves   []move
	loaded  bool // the state has values
	applied bool // or never made: there are no gradients to apply
	keep    bool
	gradX   *program
	applyX  *program
	evalX   map[int]*program

	noMin   []int32   // zeros
	one     []float32 // a scalar on its way to the backend
	loss    any       // []float64, one value
	metrics any       // []float64 as the gradient graph gives them
}

// variable is one named tensor of the state.
type variable struct {
	name  string
	dtype tensor.DType
	shape []int
}

// move is a carry that waits in from until its step is known to be finite.
type move struct{ from, to *held }

const puzzleEmb = "puzzle_emb/weights"

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
	m := &Model{dev: newDevice(backend), cfg: cfg, vars: cfg.variables(), arrays: map[string]*held{}, applied: true, evalX: map[int]*program{},
		noMin: make([]int32, cfg.BatchSize), one: make([]float32, 1), loss: make([]float64, 1), metrics: make([]float64, numMetrics)}
	add := func(name string, dt tensor.DType, shape ...int) *held {
		m.arrays[name] = newHeld(name, dt, shape...)
		return m.arrays[name]
	}
	for _, v := range m.vars {
		a := add(v.name, v.dtype, v.shape...)
		m.state = append(m.state, a)
		if kind, rest := cutKind(v.name); kind == "carry" {
			m.moves = append(m.moves, move{add("next/"+rest, v.dtype, v.shape...), a})
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

// Config is the configuration the model was made with.
func (m *Model) Config() Config { return m.cfg }

// Close frees the state and the compiled graphs.
func (m *Model) Close() {
	m.loaded, m.applied = false, true
	for _, a := range m.arrays {
		m.dev.drop(a)
	}
	for _, p := range m.evalX {
		m.dev.close(p)
	}
	m.dev.close(m.gradX)
	m.dev.close(m.applyX)
	m.gradX, m.applyX, m.evalX = nil, nil, map[int]*program{}
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

// LastGradients is a copy of the gradients that Gradients left: one per
// parameter by its reference name, and "puzzle_emb.local_weights" [B, ndim].
func (m *Model) LastGradients() (tensor.State, error) { return m.copyOut(m.arrays, "grad") }

// SetGradients replaces gradients before Apply, for example by sums over all ranks.
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
	m.applied = true
	for name, a := range m.arrays {
		if kind, _ := cutKind(name); kind == "grad" {
			m.dev.drop(a)
		}
	}
}

// KeepOutputs makes the next steps keep what LastOutputs returns. Training does not
// need it. A change compiles the gradient graph again.
func (m *Model) KeepOutputs(on bool) {
	if m.keep != on {
		m.dev.close(m.gradX)
		m.gradX = nil
	}
	m.keep = on
}

// LastOutputs are logits [B, cells, vocabulary], preds, q_halt and q_continue of the last step; see KeepOutputs.
func (m *Model) LastOutputs() (tensor.State, error) {
	if m.gradX == nil || m.gradX.own["out/logits"] == nil || m.gradX.own["out/logits"].buf == nil {
		return nil, errors.New("no outputs: KeepOutputs and a step come first")
	}
	return m.copyOut(m.gradX.own, "out")
}

// copyOut copies the arrays of one kind that have values, under the rest of their names.
func (m *Model) copyOut(from map[string]*held, kind string) (tensor.State, error) {
	s := tensor.State{}
	for name, a := range from {
		k, rest := cutKind(name)
		if k != kind || a.buf == nil {
			continue
		}
		t, err := m.dev.toHost(a)
		if err != nil {
			return nil, err
		}
		s[rest] = t
	}
	return s, nil
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
