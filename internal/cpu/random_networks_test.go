package cpu_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/pkg/core/dtypes"
	g "github.com/gomlx/gomlx/pkg/core/graph"
	"github.com/gomlx/gomlx/pkg/core/shapes"
	"github.com/gomlx/gomlx/pkg/core/tensors"
)

// layer is one post-norm layer over [batch, length, hidden]: mixing along the length (products of transposed rows, or attention),
// then a SwiGLU MLP; everything that the compiler fuses, tiles and keeps for the gradient is in it.
func (c network) layer(x *g.Node, w []*g.Node) *g.Node {
	linear := func(x, w *g.Node) *g.Node {
		dims := append([]int(nil), x.Shape().Dimensions...)
		flat := g.Reshape(x, -1, dims[len(dims)-1])
		dims[len(dims)-1] = w.Shape().Dimensions[0]
		return g.Reshape(g.DotGeneral(flat, []int{1}, nil, w, []int{1}, nil), dims...)
	}
	norm := func(x *g.Node) *g.Node {
		y := g.ConvertDType(x, dtypes.Float32)
		mean := g.MulScalar(g.ReduceAndKeep(g.Mul(y, y), g.ReduceSum, -1), 1/float64(x.Shape().Dimensions[x.Rank()-1]))
		return g.ConvertDType(g.Div(y, g.Sqrt(g.AddScalar(mean, 1e-5))), x.DType())
	}
	mlp := func(x *g.Node, w []*g.Node) *g.Node {
		gate := linear(x, w[0])
		return norm(g.Add(x, linear(g.Mul(g.Mul(gate, g.Logistic(gate)), linear(x, w[1])), w[2])))
	}
	if !c.attention {
		x = g.Transpose(mlp(g.Transpose(x, 1, 2), w[:3]), 1, 2)
		return mlp(x, w[3:6])
	}
	b, l, d := x.Shape().Dimensions[0], x.Shape().Dimensions[1], x.Shape().Dimensions[2]
	head := func(w *g.Node) *g.Node { return g.TransposeAllAxes(g.Reshape(linear(x, w), b, l, 2, d/2), 0, 2, 1, 3) }
	q, k, v := head(w[6]), head(w[7]), head(w[8])
	if !c.backward { // the reference has no gradient of a slice
		k = c.rotate(k)
	}
	s := g.MulScalar(g.ConvertDType(g.DotGeneral(q, []int{3}, []int{0, 1}, k, []int{3}, []int{0, 1}), dtypes.Float32), 0.5)
	s = g.Exp(g.Sub(s, g.StopGradient(g.ReduceAndKeep(s, g.ReduceMax, -1))))
	p := g.ConvertDType(g.Div(s, g.ReduceAndKeep(s, g.ReduceSum, -1)), x.DType())
	out := g.DotGeneral(p, []int{3}, []int{0, 1}, v, []int{2}, []int{0, 1})
	return mlp(norm(g.Add(x, g.Reshape(g.TransposeAllAxes(out, 0, 2, 1, 3), b, l, d))), w[3:6])
}

func (c network) rotate(k *g.Node) *g.Node {
	half := c.hidden / 4
	all := g.AxisRange()
	first, second := g.Slice(k, all, all, all, g.AxisRange(0, half)), g.Slice(k, all, all, all, g.AxisRange(half, 2*half))
	return g.Concatenate([]*g.Node{g.Neg(second), first}, 3)
}

type network struct {
	batch, length, hidden, inner int
	attention, narrow, backward  bool
}

func (c network) String() string {
	return fmt.Sprintf("batch=%d,length=%d,hidden=%d,attention=%v,narrow=%v,backward=%v",
		c.batch, c.length, c.hidden, c.attention, c.narrow, c.backward)
}

func (c network) weights() [][]int {
	l, d, i := c.length, c.hidden, c.inner
	return [][]int{{i, l}, {i, l}, {l, i}, {i, d}, {i, d}, {d, i}, {d, d}, {d, d}, {d, d}}
}

// graph computes two layers, some scalars and, asked for, the gradients by everything.
func (c network) graph(in []*g.Node) []*g.Node {
	cast := func(n *g.Node) *g.Node {
		if c.narrow {
			return g.ConvertDType(n, dtypes.BFloat16)
		}
		return n
	}
	used := make([]*g.Node, len(in))
	for i, n := range in {
		used[i] = cast(n)
	}
	x := used[0]
	halted := g.GreaterThan(g.Slice(in[0], g.AxisRange(), g.AxisRange(0, 1), g.AxisRange(0, 1)), g.Const(x.Graph(), [][][]float32{{{0}}}))
	x = g.Where(g.BroadcastToDims(halted, x.Shape().Dimensions...), x, g.MulScalar(x, 0.5))
	y := c.layer(c.layer(x, used[1:]), used[1:])
	loss := g.ReduceAllSum(g.Square(g.AddScalar(g.ConvertDType(y, dtypes.Float32), 0.3)))
	out := []*g.Node{y, g.Reshape(g.Transpose(y, 1, 2), -1, c.length), loss, g.ArgMax(y, -1, dtypes.Int32)}
	if c.backward {
		keep := in[:7]
		if c.attention {
			keep = append([]*g.Node{in[0]}, in[4:]...)
		}
		out = append(out, g.Gradient(loss, keep...)...)
	}
	return out
}

func (c network) inputs() []any {
	rng := rand.New(rand.NewPCG(9, uint64(c.batch)))
	in := []any{random(rng, c.batch, c.length, c.hidden)}
	for _, dims := range c.weights() {
		t := random(rng, dims...)
		t.MustMutableFlatData(func(flat any) {
			for i := range flat.([]float32) {
				flat.([]float32)[i] *= 0.3
			}
		})
		in = append(in, t)
	}
	return in
}

func (c network) run(b backends.Backend) [][]float64 { return c.runOn(b, c.inputs()) }

func (c network) runOn(b backends.Backend, in []any) (out [][]float64) {
	exec := g.MustNewExec(b, c.graph)
	for range 2 { // the second time in used memory
		out = nil
		args := make([]any, len(in))
		for i, t := range in {
			args[i] = clone(t.(*tensors.Tensor))
		}
		for _, t := range exec.MustExec(args...) {
			out = append(out, flatten(t))
			t.MustFinalizeAll()
		}
	}
	return out
}

var networks = []network{
	{3, 7, 8, 20, false, false, true}, // too few rows for a tiled group
	{8, 7, 8, 20, false, false, true},
	{24, 9, 12, 33, false, false, true},
	{16, 1, 4, 5, false, false, true},
	{9, 33, 8, 17, false, false, false},
	{8, 16, 16, 300, false, false, true},
	{3, 7, 8, 20, true, false, true},
	{16, 9, 12, 20, true, false, true},
	{16, 9, 12, 20, false, true, false},
	{10, 5, 8, 20, true, true, false},
	{8, 6, 8, 20, false, true, true},
}

// distance is the root mean square of the differences.
func distance(a, b []float64) float64 {
	sum := 0.0
	for i := range a {
		sum += (a[i] - b[i]) * (a[i] - b[i])
	}
	return math.Sqrt(sum / float64(len(a)))
}

const greatest = 3 // the output of indices, where values close to each other may change places

// agree compares the outputs of two backends.
func (c network) agree(t *testing.T, ref, dut backends.Backend) {
	t.Helper()
	wide := c
	wide.narrow = false
	exact, want, got := wide.run(ref), c.run(ref), c.run(dut)
	for o := range want {
		if len(want[o]) != len(got[o]) {
			t.Fatalf("output %d: %d values, want %d", o, len(got[o]), len(want[o]))
		}
		zero := make([]float64, len(want[o]))
		limit := 5e-5 * (1 + distance(want[o], zero))
		if c.narrow { // as close to the exact result as the reference's bfloat16 is
			limit, want[o] = 0.01+1.5*distance(exact[o], want[o]), exact[o]
		}
		if d := distance(want[o], got[o]); !(d <= limit) {
			t.Errorf("%v: output %d is off by %g (root mean square), limit %g", c, o, d, limit)
		}
	}
}

func TestNetworksAgreeWithSimpleGo(t *testing.T) {
	ref, dut := backend(t, "go:ops_sequential"), backend(t, "cpu:threads=2")
	for _, c := range networks {
		t.Run(c.String(), func(t *testing.T) { c.agree(t, ref, dut) })
	}
}

// FuzzNetworks compares layers of any sizes, forwards and backwards, with the reference.
func FuzzNetworks(f *testing.F) {
	f.Add(uint8(16), uint8(9), uint8(2), uint8(33), false)
	f.Add(uint8(3), uint8(1), uint8(0), uint8(0), true)
	ref, dut := backend(f, "go:ops_sequential"), backend(f, "cpu:threads=2")
	f.Fuzz(func(t *testing.T, batch, length, hidden, inner uint8, attention bool) {
		c := network{1 + int(batch%20), 1 + int(length%20), 4 + 4*int(hidden%12), 1 + int(inner%40), attention, false, true}
		want, got, shaken := c.run(ref), c.run(dut), c.runOn(ref, c.shaken())
		for o := range want {
			if o == greatest {
				continue
			}
			limit := 5e-5*(1+distance(want[o], make([]float64, len(want[o])))) + 30*distance(want[o], shaken[o])
			if d := distance(want[o], got[o]); !(d <= limit) {
				t.Errorf("%v: output %d is off by %g (root mean square), limit %g", c, o, d, limit)
			}
		}
	})
}

// shaken are the inputs, each off by about the last place: what they do to the results tells how well those are determined.
func (c network) shaken() []any {
	rng := rand.New(rand.NewPCG(10, 11))
	in := c.inputs()
	for _, x := range in {
		x.(*tensors.Tensor).MustMutableFlatData(func(flat any) {
			for i := range flat.([]float32) {
				flat.([]float32)[i] *= float32(1 + 0x1p-23*rng.NormFloat64())
			}
		})
	}
	return in
}

func TestNetworksGiveSameBitsForAnyNumberOfThreads(t *testing.T) {
	one := backend(t, "cpu:threads=1")
	for _, c := range networks {
		want := c.run(one)
		for _, threads := range []int{2, 3, 8} {
			if got := c.run(backend(t, fmt.Sprintf("cpu:threads=%d", threads))); !reflect.DeepEqual(got, want) {
				t.Errorf("%v: %d threads give other bits than one", c, threads)
			}
		}
	}
}

func TestNetworksAllocateNextToNothing(t *testing.T) {
	c := networks[2]
	b := backend(t, "cpu:threads=2")
	graph := g.NewGraph(b, t.Name())
	defer graph.Finalize()
	var nodes []*g.Node
	for i, x := range c.inputs() {
		nodes = append(nodes, g.Parameter(graph, fmt.Sprint("p", i), x.(*tensors.Tensor).Shape()))
	}
	graph.Compile(c.graph(nodes)...)
	in := c.inputs()
	step := func() {
		for _, out := range graph.Run(in...) {
			out.MustFinalizeAll()
		}
	}
	step()
	if n := testing.AllocsPerRun(5, step); n > 200 {
		t.Errorf("%.0f allocations per execution", n)
	}
}

func TestDonatedBuffersAreConsumed(t *testing.T) {
	b := backend(t, "cpu:threads=1")
	builder := b.Builder("donate")
	shape := shapes.Make(dtypes.Float32, 3)
	x, err := builder.Parameter("x", shape, nil)
	if err != nil {
		t.Fatal(err)
	}
	y, err := builder.Add(x, x)
	if err != nil {
		t.Fatal(err)
	}
	exec, err := builder.Compile([]backends.Op{y, x, y}, nil)
	if err != nil {
		t.Fatal(err)
	}
	in, err := b.BufferFromFlatData(0, []float32{1, 2, 3}, shape)
	if err != nil {
		t.Fatal(err)
	}
	var kept [][]float32
	check := func(out []backends.Buffer) {
		t.Helper()
		for i, want := range [][]float32{{2, 4, 6}, {1, 2, 3}, {2, 4, 6}} {
			got := make([]float32, 3)
			if err := b.BufferToFlatData(out[i], got); err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("output %d = %v, %v; want %v", i, got, err, want)
			}
			flat, _ := b.BufferData(out[i])
			kept = append(kept, flat.([]float32))
		}
	}
	out, err := exec.Execute([]backends.Buffer{in}, []bool{false}, 0)
	if err != nil {
		t.Fatal(err)
	}
	check(out)
	if err := b.BufferToFlatData(in, make([]float32, 3)); err != nil {
		t.Errorf("an input that was not donated is gone: %v", err)
	}
	again, err := exec.Execute([]backends.Buffer{in}, []bool{true}, 0)
	if err != nil {
		t.Fatal(err)
	}
	check(again)
	check(out)
	for i, p := range kept[:6] {
		for _, q := range kept[i+1 : 6] {
			if &p[0] == &q[0] {
				t.Fatal("two outputs share memory")
			}
		}
	}
	if err := b.BufferToFlatData(in, make([]float32, 3)); err == nil {
		t.Error("a donated buffer can still be read")
	}
	if _, err := exec.Execute([]backends.Buffer{in}, nil, 0); err == nil {
		t.Error("a donated buffer was accepted as an input")
	}
}
