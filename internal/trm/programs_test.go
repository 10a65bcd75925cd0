package trm

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/gomlx/gomlx/backends"
	"github.com/google/go-cmp/cmp"

	"trmsweep/internal/backend/backendtest"
	"trmsweep/internal/tensor"
)

// programsCase is a configuration whose three programs run on every backend.
type programsCase struct {
	name   string
	change func(*Config)
}

// programsCases: both mixers, both types, EMA on and off; the other settings are spread over them.
func programsCases() []programsCase {
	mlp := func(c *Config) { c.MLPT, c.PosEncodings = true, "none" }
	rope := func(c *Config) { c.MLPT, c.PosEncodings = false, "rope" }
	var all []programsCase
	for _, dtype := range []string{"float32", "bfloat16"} {
		with := func(name string, changes ...func(*Config)) {
			all = append(all, programsCase{dtype + ", " + name, func(c *Config) {
				c.ForwardDType = dtype
				for _, change := range changes {
					change(c)
				}
			}})
		}
		with("mlp, EMA", mlp)
		with("mlp, no EMA, softmax, no puzzles", mlp, func(c *Config) {
			c.EMA, c.LossType, c.PuzzleEmbNDim = false, "softmax_cross_entropy", 0
		})
		with("attention, EMA, target Q", rope, func(c *Config) { c.NoACTContinue = false })
		with("attention, no EMA, learned positions", rope, func(c *Config) { c.EMA, c.PosEncodings = false, "learned" })
	}
	return all
}

// programsRun is what one backend made of a case.
type programsRun struct {
	metrics []Metrics
	rows    EvalRows
	state   tensor.State
}

// addresses are where the arrays of the state lie, on backends that say so.
func addresses(t *testing.T, m *Model) map[string]unsafe.Pointer {
	t.Helper()
	at := map[string]unsafe.Pointer{}
	for _, a := range slices.Concat(m.state...) {
		b, ok := a.buf.(interface {
			UnsafePointer() (unsafe.Pointer, error)
		})
		if !ok {
			return nil
		}
		p, err := b.UnsafePointer()
		if err != nil {
			t.Fatal(err)
		}
		at[a.name] = p
	}
	return at
}

// runPrograms makes steps on a batch whose last row is padding, and an evaluation of three rows. The state stays where it is: the
// weights of one step lie where those of the step before did, the carry where that of two steps before did.
func runPrograms(t *testing.T, backend string, c Config) (r programsRun) {
	t.Helper()
	m := freshModel(t, backendtest.Open(t, backend), c)
	defer m.Close()
	start := m.InitState(1)
	start["param/q_head.bias"] = fromFloats([]float64{-5, -4}, []int{2}) // no row halts because of how its q logits are rounded
	if err := m.Load(start); err != nil {
		t.Fatal(err)
	}
	in := tinyBatch(c)
	clear(in.Labels[(c.BatchSize-1)*c.SeqLen:])
	in.LR, in.PuzzleEmbLR = 1e-3, 1e-3
	var lay []map[string]unsafe.Pointer
	for in.Step = 1; in.Step <= 3; in.Step++ {
		res, err := m.Step(in)
		if err != nil || !res.Finite {
			t.Fatalf("step %d: %+v, %v", in.Step, res, err)
		}
		r.metrics = append(r.metrics, lastMetrics(t, m))
		if r.metrics[in.Step-1].Loss != res.Loss {
			t.Errorf("step %d: loss %v, in the metrics %v", in.Step, res.Loss, r.metrics[in.Step-1].Loss)
		}
		lay = append(lay, addresses(t, m))
	}
	if backend == "xla:cpu" && lay[2] == nil {
		t.Error("the backend does not say where its buffers are")
	}
	for name, at := range lay[2] {
		kind, _ := cutKind(name)
		moved := at != lay[1][name]
		if kind == "carry" {
			moved = at != lay[0][name]
		}
		if moved {
			t.Errorf("%s is at %v, %v and %v after the three steps", name, lay[0][name], lay[1][name], at)
		}
	}
	twice := func(v []uint8) []uint8 { return slices.Concat(v, v[:c.SeqLen]) }
	var err error
	if r.rows, err = m.Eval(twice(in.Inputs), twice(in.Labels), make([]int32, c.BatchSize+1)); err != nil {
		t.Fatal(err)
	}
	r.state = mustSnapshot(t, m)
	for name, a := range r.state {
		if slices.ContainsFunc(floats(t, a), func(v float64) bool { return !finite(v) }) {
			t.Errorf("%s is not finite", name)
		}
	}
	return r
}

// TestEveryProgramOnEveryBackend builds and runs gradients, apply and evaluation; every backend gives what backend cpu gives.
func TestEveryProgramOnEveryBackend(t *testing.T) {
	for _, pc := range programsCases() {
		t.Run(pc.name, func(t *testing.T) {
			c := tinyConfig()
			c.HCycles, c.WeightDecay = 1, 0.1
			pc.change(&c)
			want := runPrograms(t, "cpu", c)
			bound := 1e-5
			if c.ForwardDType == "bfloat16" {
				bound = 0x1p-7 // that many units of 2^-8 in a row of products
			}
			backendtest.Each(t, func(t *testing.T, name string) {
				got := runPrograms(t, name, c)
				for i, mt := range got.metrics {
					if w := want.metrics[i]; !(math.Abs(mt.Loss-w.Loss) <= bound*w.Loss) || mt.Count != w.Count || mt.Steps != w.Steps {
						t.Errorf("step %d, the difference from backend cpu (-want +got):\n%s", i+1, cmp.Diff(w, mt))
					}
				}
				for i, q := range got.rows.QHalt {
					if w := want.rows.QHalt[i]; !(math.Abs(float64(q-w)) <= 10*bound) || got.rows.Cells[i] != want.rows.Cells[i] {
						t.Errorf("evaluated row %d: %v with %d cells, want %v with %d", i, q, got.rows.Cells[i], w, want.rows.Cells[i])
					}
				}
				for name, a := range want.state {
					if rel := distanceOf(floats(t, got.state[name]), floats(t, a)); !(rel <= 20*bound) {
						t.Errorf("%s: off by %g of its length", name, rel)
					}
				}
			})
		})
	}
}

// counting is a backend that counts the programs it builds and cancels a context after the first.
type counting struct {
	backends.Backend
	built  []string
	cancel func()
}

func (c *counting) Builder(name string) backends.Builder {
	c.built = append(c.built, name)
	c.cancel()
	return c.Backend.Builder(name)
}

// TestPrepareCompilesEverything: steps, an optimizer step and evaluations of the sizes that were named compile nothing any more.
func TestPrepareCompilesEverything(t *testing.T) {
	c := tinyConfig()
	counts := &counting{Backend: backendtest.Open(t, "cpu"), cancel: func() {}}
	m := freshModel(t, counts, c)
	defer m.Close()
	ended, cancel := context.WithCancelCause(t.Context())
	why := errors.New("told to stop")
	counts.cancel = func() { cancel(why) }
	if err := m.Prepare(ended, 2, 5); !errors.Is(err, why) || !slices.Equal(counts.built, []string{"gradients"}) {
		t.Fatalf("%v after programs %v; the context ended during the first", err, counts.built)
	}
	counts.cancel = func() {}
	for range 2 {
		if err := m.Prepare(t.Context(), 2, 5); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"gradients", "apply", "evaluate", "evaluate"}
	in := tinyBatch(c)
	in.Step = 1
	if _, err := m.Step(in); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Eval(in.Inputs, in.Labels, in.PuzzleIDs); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(counts.built, want) {
		t.Errorf("programs %v, want %v", counts.built, want)
	}
}

// caching is a backend with a cache of compiled programs: those of the names in has. All that are loaded wait for each other.
type caching struct {
	backends.Backend
	has      []string
	fails    string // the program that cannot be compiled
	begun    func() // called when all are being loaded
	waiting  sync.WaitGroup
	mu       sync.Mutex
	loaded   []string
	compiled []string
}

func (c *caching) CacheOnly() backends.Backend { return cachingLoader{c} }

func (c *caching) Builder(name string) backends.Builder {
	return cachingBuilder{c.Backend.Builder(name), func() error {
		c.compiled = append(c.compiled, name)
		if name == c.fails {
			return errors.New("the compiler is ill")
		}
		return nil
	}}
}

type cachingLoader struct{ *caching }

func (c cachingLoader) Builder(name string) backends.Builder {
	return cachingBuilder{c.Backend.Builder(name), func() error {
		c.waiting.Done()
		c.waiting.Wait()
		c.mu.Lock()
		defer c.mu.Unlock()
		c.begun()
		if !slices.Contains(c.has, name) {
			return errors.New("it is not in the cache")
		}
		c.loaded = append(c.loaded, name)
		return nil
	}}
}

type cachingBuilder struct {
	backends.Builder
	first func() error
}

func (b cachingBuilder) Compile(outs []backends.Op, s []*backends.ShardingSpec) (backends.Executable, error) {
	if err := b.first(); err != nil {
		return nil, err
	}
	return b.Builder.Compile(outs, s)
}

// TestPrepareLoadsAtOnce: what the cache has is loaded at the same time, and only the rest compiled, one after the other. Told to stop
// while it loads, it compiles nothing.
func TestPrepareLoadsAtOnce(t *testing.T) {
	why := errors.New("told to stop")
	for _, row := range []struct {
		name     string
		has      []string
		fails    string
		stop     bool
		compiled []string
		says     string // "" for no error
	}{
		{name: "all are there", has: []string{"apply", "evaluate", "gradients"}},
		{name: "one is missing", has: []string{"evaluate", "gradients"}, compiled: []string{"apply"}},
		{name: "none is there", compiled: []string{"gradients", "apply", "evaluate"}},
		{name: "a fault", has: []string{"gradients"}, fails: "apply", compiled: []string{"apply"}, says: "build the apply graph: "},
		{name: "told to stop", has: []string{"gradients"}, stop: true, says: why.Error()},
	} {
		t.Run(row.name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			c := &caching{Backend: backendtest.Open(t, "cpu"), has: row.has, fails: row.fails, begun: func() {}}
			if row.stop {
				c.begun = func() { cancel(why) }
			}
			m := freshModel(t, c, tinyConfig())
			defer m.Close()
			c.waiting.Add(3)
			err := m.Prepare(ctx, 2)
			slices.Sort(c.loaded)
			if !slices.Equal(c.loaded, row.has) || !slices.Equal(c.compiled, row.compiled) {
				t.Errorf("loaded %v, want %v; compiled %v, want %v", c.loaded, row.has, c.compiled, row.compiled)
			}
			if row.says != "" {
				if err == nil || !strings.Contains(err.Error(), row.says) {
					t.Errorf("%v; want %q in it", err, row.says)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			in := tinyBatch(tinyConfig())
			in.Step = 1
			if res, err := m.Step(in); err != nil || !res.Finite {
				t.Errorf("a step: %+v, %v", res, err)
			}
			if _, err := m.Eval(in.Inputs, in.Labels, in.PuzzleIDs); err != nil {
				t.Error(err)
			}
		})
	}
}
