package cpu_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/gomlx/gomlx/backends"
	_ "github.com/gomlx/gomlx/backends/simplego"
	"github.com/gomlx/gomlx/pkg/core/dtypes"
	g "github.com/gomlx/gomlx/pkg/core/graph"
	"github.com/gomlx/gomlx/pkg/core/shapes"
	"github.com/gomlx/gomlx/pkg/core/tensors"

	_ "trmsweep/internal/cpu"
)

func backend(t testing.TB, config string) backends.Backend {
	t.Helper()
	b, err := backends.NewWithConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Finalize)
	return b
}

func random(rng *rand.Rand, dims ...int) *tensors.Tensor {
	flat := make([]float32, shapes.Make(dtypes.Float32, dims...).Size())
	for i := range flat {
		flat[i] = float32(rng.NormFloat64())
	}
	return tensors.FromFlatDataAndDimensions(flat, dims...)
}

func flatten(t *tensors.Tensor) (out []float64) {
	t.MustConstFlatData(func(flat any) {
		v := reflect.ValueOf(flat)
		for i := range v.Len() {
			switch e := v.Index(i); e.Kind() {
			case reflect.Bool:
				if e.Bool() {
					out = append(out, 1)
				} else {
					out = append(out, 0)
				}
			case reflect.Uint16:
				out = append(out, float64(math.Float32frombits(uint32(e.Uint())<<16)))
			default:
				out = append(out, e.Convert(reflect.TypeFor[float64]()).Float())
			}
		}
	})
	return out
}

type fn = func(x, y *g.Node) *g.Node

func eval(b backends.Backend, f fn, x, y *tensors.Tensor) []float64 {
	return flatten(g.MustNewExec(b, f).MustExec(clone(x), clone(y))[0])
}

func TestOperationsAgreeWithSimpleGo(t *testing.T) {
	grad := func(f fn) fn {
		return func(x, y *g.Node) *g.Node {
			d := g.Gradient(g.ReduceAllSum(g.Mul(f(x, y), f(x, y))), x, y)
			return g.Concatenate([]*g.Node{g.Reshape(d[0], -1), g.Reshape(d[1], -1)}, 0)
		}
	}
	norm := func(x, _ *g.Node) *g.Node {
		return g.Mul(x, g.Div(g.Const(x.Graph(), float32(1)), g.Sqrt(g.AddScalar(g.ReduceAndKeep(g.Square(x), g.ReduceMean, -1), 1e-5))))
	}
	matmul := func(x, y *g.Node) *g.Node { return g.DotGeneral(x, []int{1}, nil, y, []int{1}, nil) }
	rows := map[string]fn{
		"add": g.Add, "sub": g.Sub, "mul": g.Mul, "div": g.Div, "max": g.Max, "min": g.Min,
		"exp":      func(x, _ *g.Node) *g.Node { return g.Exp(g.MulScalar(x, 20)) },
		"sigmoid":  func(x, _ *g.Node) *g.Node { return g.Sigmoid(g.MulScalar(x, 10)) },
		"log":      func(x, _ *g.Node) *g.Node { return g.Log(g.Abs(x)) },
		"logOfNeg": func(x, _ *g.Node) *g.Node { return g.Log(x) },
		"tanh":     func(x, _ *g.Node) *g.Node { return g.Tanh(x) },
		"sign":     func(x, _ *g.Node) *g.Node { return g.Sign(x) },
		"sincos":   func(x, y *g.Node) *g.Node { return g.Add(g.Sin(x), g.Cos(y)) },
		"where":    func(x, y *g.Node) *g.Node { return g.Where(g.GreaterThan(x, y), x, y) },
		"less":     func(x, y *g.Node) *g.Node { return g.LessThan(x, y) },
		"sum0":     func(x, _ *g.Node) *g.Node { return g.ReduceSum(x, 0) },
		"sum1":     func(x, _ *g.Node) *g.Node { return g.ReduceSum(x, 1) },
		"sum":      func(x, _ *g.Node) *g.Node { return g.ReduceAllSum(x) },
		"sumT":     func(x, _ *g.Node) *g.Node { return g.ReduceSum(g.Transpose(x, 0, 1), 0) },
		"max1":     func(x, _ *g.Node) *g.Node { return g.ReduceMax(x, 1) },
		"all":      func(x, y *g.Node) *g.Node { return g.ReduceLogicalAnd(g.GreaterThan(x, y), 1) },
		"int":      func(x, _ *g.Node) *g.Node { return g.ConvertDType(g.MulScalar(x, 100), dtypes.Int32) },
		"bf16": func(x, _ *g.Node) *g.Node {
			return g.ConvertDType(g.ConvertDType(g.MulScalar(g.ConvertDType(g.Sign(x), dtypes.Int32), 3), dtypes.BFloat16), dtypes.Float32)
		},
		"transpose": func(x, y *g.Node) *g.Node { return g.Add(g.Transpose(x, 0, 1), g.Transpose(y, 0, 1)) },
		"reshapeT":  func(x, _ *g.Node) *g.Node { return g.Reshape(g.Transpose(x, 0, 1), -1) },
		"concat": func(x, y *g.Node) *g.Node {
			return g.Concatenate([]*g.Node{x, g.Transpose(g.Transpose(y, 0, 1), 0, 1)}, 1)
		},
		"iota":     func(x, _ *g.Node) *g.Node { return g.Iota(x.Graph(), shapes.Make(dtypes.Int32, 3, 5), 1) },
		"matmulT":  matmul,
		"matmulK0": func(x, y *g.Node) *g.Node { return g.DotGeneral(x, []int{0}, nil, y, []int{0}, nil) },
		"batched":  func(x, y *g.Node) *g.Node { return g.DotGeneral(x, []int{1}, []int{0}, y, []int{1}, []int{0}) },
		"softmax":  func(x, _ *g.Node) *g.Node { return g.Softmax(x, -1) },
		"norm":     norm, "gradNorm": grad(norm), "gradMatmul": grad(matmul), "gradMul": grad(g.Mul),
	}
	ref, dut := backend(t, "go:ops_sequential"), backend(t, "cpu:threads=2")
	for name, f := range rows {
		for _, dims := range [][]int{{1, 1}, {1, 7}, {9, 1}, {5, 33}, {70, 65}, {8, 1100}} {
			t.Run(fmt.Sprint(name, dims), func(t *testing.T) {
				rng := rand.New(rand.NewPCG(1, 2))
				x, y := random(rng, dims...), random(rng, dims...)
				want, got := eval(ref, f, x, y), eval(dut, f, x, y)
				if len(want) != len(got) {
					t.Fatalf("%d values, want %d", len(got), len(want))
				}
				for i := range want {
					w, h := want[i], got[i]
					if w != h && !(math.IsNaN(w) && math.IsNaN(h)) && !(math.Abs(w-h) <= 2e-4+1e-5*math.Abs(w)*20) {
						t.Fatalf("[%d] = %v, want %v", i, h, w)
					}
				}
			})
		}
	}
}

func TestSliceAndPadAreInverse(t *testing.T) {
	x := random(rand.New(rand.NewPCG(3, 4)), 4, 6)
	got := eval(backend(t, "cpu:threads=1"), func(x, _ *g.Node) *g.Node {
		s := g.Slice(x, g.AxisRange(1, 3), g.AxisRange(2, 5))
		return g.Pad(s, g.Const(x.Graph(), float32(0)), backends.PadAxis{Start: 1, End: 1}, backends.PadAxis{Start: 2, End: 1})
	}, x, x)
	for i, w := range flatten(x) {
		if r, c := i/6, i%6; r < 1 || r >= 3 || c < 2 || c >= 5 {
			w = 0
		}
		if got[i] != w {
			t.Fatalf("[%d] = %v, want %v", i, got[i], w)
		}
	}
}

func TestSameBitsForAnyNumberOfThreads(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	x, y := random(rng, 150, 700), random(rng, 150, 700)
	f := func(x, y *g.Node) *g.Node {
		return g.ReduceSum(g.Softmax(g.DotGeneral(x, []int{1}, nil, g.Sigmoid(y), []int{1}, nil), -1), 0)
	}
	want := eval(backend(t, "cpu:threads=1"), f, x, y)
	for _, threads := range []int{2, 3, 8} {
		if got := eval(backend(t, fmt.Sprintf("cpu:threads=%d", threads)), f, x, y); !reflect.DeepEqual(got, want) {
			t.Errorf("%d threads give other bits than one", threads)
		}
	}
}

func TestConfigurationFaults(t *testing.T) {
	for _, config := range []string{"cpu:threads=0", "cpu:threads=x", "cpu:speed=9"} {
		if _, err := backends.NewWithConfig(config); err == nil {
			t.Errorf("%s was accepted", config)
		}
	}
}

func BenchmarkMatrixProduct(b *testing.B) {
	be := backend(b, "cpu:threads=2")
	const n = 1024
	rng := rand.New(rand.NewPCG(7, 8))
	x, y := random(rng, n, n), random(rng, n, n)
	exec := g.MustNewExec(be, func(x, y *g.Node) *g.Node { return g.Dot(x, y) })
	for b.Loop() {
		exec.MustExec(x, y)[0].MustFinalizeAll()
	}
	b.ReportMetric(2*n*n*n*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
}

func clone(x *tensors.Tensor) *tensors.Tensor {
	c, err := x.LocalClone()
	if err != nil {
		panic(err)
	}
	return c
}
