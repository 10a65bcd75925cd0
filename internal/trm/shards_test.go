package trm

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"slices"
	"testing"

	"github.com/gomlx/gomlx/pkg/core/graph"
	gocmp "github.com/google/go-cmp/cmp"

	"trmsweep/internal/backend"
	"trmsweep/internal/backend/backendtest"
	"trmsweep/internal/tensor"
)

// TestGoldenTrainingOfShards: a batch in 2 and in 4 shards meets the reference as the whole batch does, within the same tolerances.
func TestGoldenTrainingOfShards(t *testing.T) {
	eachCase(t, func(t *testing.T, g goldenCase) {
		onEach(t, func(t *testing.T) {
			numbers := []int{4}
			if os.Getenv(backendEnv) == "cpu" { // the others take seconds
				numbers = []int{2, 4}
			}
			for _, g.shards = range numbers {
				t.Run(fmt.Sprint(g.shards, " shards"), func(t *testing.T) { goldenTraining(t, g) })
			}
		})
	})
}

// shardedConfig has a batch of eight rows of three puzzles, of which rows halt at several steps.
func shardedConfig(shards int) Config {
	c := tinyConfig()
	c.BatchSize, c.GlobalBatchSize, c.Shards = 8, 8, shards
	c.SeqLen, c.HCycles = 12, 1
	c.NumPuzzleIdentifiers, c.HaltMaxSteps = 4, 3
	c.WeightDecay, c.PuzzleEmbWeightDecay = 0.1, 0.1
	return c
}

// shardedBatch has puzzles that several rows share, in neighbouring shards and in distant ones, and one that does not occur.
func shardedBatch(c Config, step int64) StepInput {
	in := StepInput{
		Inputs:    make([]uint8, c.BatchSize*c.SeqLen),
		Labels:    make([]uint8, c.BatchSize*c.SeqLen),
		PuzzleIDs: []int32{0, 1, 1, 0, 2, 0, 0, 1},
		MinSteps:  []int32{0, 0, 3, 0, 2, 0, 0, 0},
		Step:      step,
		LR:        3e-3, PuzzleEmbLR: 3e-3,
	}
	for i := range in.Inputs {
		h := splitmix(uint64(i) + uint64(step)<<32)
		in.Labels[i], in.Inputs[i] = uint8(2+h%9), uint8(1+h>>8%10)
	}
	return in
}

// trainShards makes the steps from..to and returns the metrics of each. The bias of the q head lets rows halt at once or at the last step.
func trainShards(t *testing.T, m *Model, from, to int64) (all []Metrics) {
	t.Helper()
	for step := from; step <= to; step++ {
		res, err := m.Step(shardedBatch(m.cfg, step))
		if err != nil || !res.Finite {
			t.Fatalf("step %d: %+v, %v", step, res, err)
		}
		mt := lastMetrics(t, m)
		if mt.Loss != res.Loss {
			t.Errorf("step %d: loss %v, in the metrics %v", step, res.Loss, mt.Loss)
		}
		all = append(all, mt)
	}
	return all
}

// shardedStart is a start at which the q logits of some rows say stop.
func shardedStart(c Config) tensor.State {
	s := c.InitState(1)
	s["param/q_head.bias"] = fromFloats([]float64{0, -5}, []int{2})
	s["param/q_head.weight"] = truncNormal(3, "q", []int{2, c.HiddenSize}, 0.5, 0)
	return s
}

// TestShards: the metrics do not depend on the number of shards but for rounding, the bits on nothing else: not on a second run, on
// a stop in the middle, or on the number of threads.
func TestShards(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(*Config)
		shards []int
	}{
		{"float32 mlp", func(*Config) {}, []int{1, 2, 4, 8}},
		{"bfloat16 attention", func(c *Config) { c.ForwardDType, c.MLPT = "bfloat16", false }, []int{1, 4}},
	} {
		t.Run(row.name, func(t *testing.T) {
			backendtest.Each(t, func(t *testing.T, backend string) { shardsOn(t, backend, row.shards, row.change) })
		})
	}
}

func shardsOn(t *testing.T, name string, numbers []int, change func(*Config)) {
	const half, steps = 3, 7
	var want []Metrics
	var whole tensor.State
	for _, shards := range numbers {
		c := shardedConfig(shards)
		change(&c)
		m := freshModel(t, backendtest.Open(t, name), c)
		goOn := func(from tensor.State, first int64) ([]Metrics, tensor.State) {
			if err := m.Load(from); err != nil {
				t.Fatal(err)
			}
			metrics := trainShards(t, m, first, steps)
			return metrics, mustSnapshot(t, m)
		}
		metrics, state := goOn(shardedStart(c), 1)
		sum := state.SHA256()
		if shards == 1 {
			want, whole = metrics, state
			least := slices.MinFunc(want, func(a, b Metrics) int { return cmp.Compare(a.Count, b.Count) })
			most := slices.MaxFunc(want, func(a, b Metrics) int { return cmp.Compare(a.Count, b.Count) })
			if least.Count == most.Count {
				t.Errorf("in every step %v rows halt: no slots of different ages", most.Count)
			}
		}
		bound := 2e-5
		if c.ForwardDType == "bfloat16" {
			bound = 0x1p-6
		}
		for i, mt := range metrics {
			if w := want[i]; !(math.Abs(mt.Loss-w.Loss) <= bound*w.Loss) || mt.Count != w.Count {
				t.Errorf("%d shards, step %d: the difference from one shard (-want +got):\n%s", shards, i+1, gocmp.Diff(w, mt))
			}
		}
		for array, a := range whole {
			if b := state[array]; b.DType != a.DType || !slices.Equal(b.Shape, a.Shape) {
				t.Errorf("%d shards: %s is %s %v, with one shard %s %v", shards, array, b.DType, b.Shape, a.DType, a.Shape)
			}
		}
		unused := floats(t, state[puzzleEmb])[3*c.PuzzleEmbNDim:]
		if slices.ContainsFunc(unused, func(v float64) bool { return v != 0 }) {
			t.Errorf("%d shards: a puzzle that does not occur moves", shards)
		}
		if err := m.Load(shardedStart(c)); err != nil {
			t.Fatal(err)
		}
		trainShards(t, m, 1, half)
		middle := mustSnapshot(t, m)
		if _, again := goOn(shardedStart(c), 1); again.SHA256() != sum {
			t.Errorf("%d shards: the second run ends in another state", shards)
		}
		if _, resumed := goOn(middle, half+1); resumed.SHA256() != sum {
			t.Errorf("%d shards: resumed after step %d, it ends in another state", shards, half)
		}
		m.Close()
		if shards != 4 || name == "xla:cpu" { // the thread pool of XLA is the process's, and its sums depend on it
			continue
		}
		for _, threads := range []int{1, 2} {
			be, _, err := backend.New(name, threads)
			if err != nil {
				t.Fatal(err)
			}
			m = freshModel(t, be, c)
			if _, other := goOn(shardedStart(c), 1); other.SHA256() != sum {
				t.Errorf("%d shards, %d threads: another state", shards, threads)
			}
			m.Close()
			be.Finalize()
		}
	}
}

// TestGradientsAreAddedAsATree: in pairs of neighbours, from the first shard and not from zero, and with as few sets of gradients alive as
// a number of shards has binary digits that are not zero, and the one that comes in.
func TestGradientsAreAddedAsATree(t *testing.T) {
	onEach(t, func(t *testing.T) {
		const shards = 8
		m := testModel(t, shardedConfig(shards))
		if err := m.compile(m.addRecipe()); err != nil {
			t.Fatal(err)
		}
		leaves := make([]float32, shards)
		for k := range leaves {
			leaves[k] = float32(math.Ldexp(1+float64(splitmix(uint64(k))>>40)/(1<<24), 3*k%7)) // a sum of which rounding depends on the order
			for _, a := range m.tree.grads {
				v := zeros(tensor.F32, a.shape.Dimensions...)
				fill(v, leaves[k])
				if err := m.dev.load(a, v.Data); err != nil {
					t.Fatal(err)
				}
			}
			if err := m.addShard(k); err != nil {
				t.Fatal(err)
			}
			alive, want := 0, 0
			for _, set := range append(m.tree.partial, m.tree.grads, m.tree.sums) {
				if set[0].buf != nil {
					alive++
				}
			}
			for n := k + 1; n > 0; n &= n - 1 {
				want++
			}
			if alive != want {
				t.Errorf("after shard %d: %d sets of gradients are alive, want %d", k, alive, want)
			}
		}
		sum := treeSum(leaves, func(a, b float32) float32 { return a + b })
		for _, a := range m.tree.grads {
			got, err := toHost(m.dev, a)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range floats(t, got) {
				if v != float64(sum) {
					t.Fatalf("%s: %v, want %v", a.name, v, sum)
				}
			}
		}
	})
}

// TestShardsNotFinite: what is not finite in one shard, or only in the sum of all, leaves the weights and the carries of all.
func TestShardsNotFinite(t *testing.T) {
	onEach(t, func(t *testing.T) {
		c := shardedConfig(4)
		m := freshModel(t, testBackend(t), c)
		defer m.Close()
		for k := range 4 {
			trainShards(t, m, 1, 2)
			good := mustSnapshot(t, m)
			bad := mustSnapshot(t, m)
			z := bad["carry/z_H"]
			rows := len(z.Data) / 4
			fill(tensor.Array{DType: tensor.F32, Shape: []int{rows / 4}, Data: z.Data[k*rows : (k+1)*rows]}, float32(math.NaN()))
			clear(bad["carry/halted"].Data)
			if err := m.Load(bad); err != nil {
				t.Fatal(err)
			}
			res, err := m.Step(shardedBatch(c, 3))
			if err != nil || res.Finite {
				t.Fatalf("NaN in the carry of shard %d: %+v, %v", k, res, err)
			}
			if mustSnapshot(t, m).SHA256() != bad.SHA256() {
				t.Errorf("NaN in the carry of shard %d: the state changed", k)
			}
			if err := m.Apply(3, 1e-3, 1e-3); err == nil {
				t.Errorf("NaN in the carry of shard %d: there are gradients to apply", k)
			}
			if err := m.Load(good); err != nil {
				t.Fatal(err)
			}
			trainShards(t, m, 3, 3)
		}
	})
}

// TestSumOfShardsNotFinite: of a sum of gradients the square must be finite, also if those of its parts are.
func TestSumOfShardsNotFinite(t *testing.T) {
	onEach(t, func(t *testing.T) {
		m := testModel(t, shardedConfig(2))
		if err := m.compile(m.addRecipe()); err != nil {
			t.Fatal(err)
		}
		for _, row := range []struct {
			part float32
			want bool
		}{{0.9e19, true}, {1.2e19, false}, {float32(math.Inf(1)), false}} {
			for k := range 2 {
				for _, a := range m.tree.grads {
					v := zeros(tensor.F32, a.shape.Dimensions...)
					fill(v, row.part)
					if err := m.dev.load(a, v.Data); err != nil {
						t.Fatal(err)
					}
				}
				if err := m.addShard(k); err != nil {
					t.Fatal(err)
				}
			}
			v, err := m.readNumber(m.tree.add.own["out/not_finite"])
			if err != nil || finite(v) != row.want {
				t.Errorf("twice %v: %v, %v, want finite %v", row.part, v, err, row.want)
			}
		}
	})
}

// TestSpecialSignOfSums: an id that occurs decays although its gradients cancel, one that does not occur stays.
func TestSpecialSignOfSums(t *testing.T) {
	onEach(t, func(t *testing.T) {
		one := func(x float64) tensor.Array { return fromFloats([]float64{x}, []int{}) }
		out := runUnit(t, []tensor.Array{
			fromFloats([]float64{0.5, 0.5, 0.5}, []int{3, 1}), fromFloats([]float64{0, 0, -3}, []int{3, 1}),
			fromFloats([]float64{2, 0, 1}, []int{3}), one(0.5), one(0.125),
		}, func(in []*graph.Node) []*graph.Node {
			return []*graph.Node{signStep(in[0], in[1], in[3], in[4], func() *graph.Node { return in[2] })}
		})
		near(t, "puzzle embedding", out[0], []float64{0.25, 0.5, 0.375}, 0, false)
	})
}

// TestWrongShards: a batch that cannot be cut into equal parts, or a number of parts that cannot be halved.
func TestWrongShards(t *testing.T) {
	for _, row := range []struct {
		shards int
		ok     bool
	}{{0, true}, {1, true}, {8, true}, {3, false}, {-2, false}, {16, false}} {
		if err := shardedConfig(row.shards).Validate(); (err == nil) != row.ok {
			t.Errorf("%d shards of 8 rows: %v", row.shards, err)
		}
	}
}
