package cpu_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/pkg/core/dtypes"
	g "github.com/gomlx/gomlx/pkg/core/graph"
	"github.com/gomlx/gomlx/pkg/core/tensors"
)

// special is every pair of these values, x against y.
func special() (x, y *tensors.Tensor) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	v := []float32{0, float32(math.Copysign(0, -1)), 1, -1, 0.5, -2.5, 3, 88, -88, 104, -104,
		1e-38, -1e-38, 1e-42, -1e-42, 1e38, -1e38, inf, -inf, nan}
	var a, b []float32
	for _, p := range v {
		for _, q := range v {
			a, b = append(a, p), append(b, q)
		}
	}
	return tensors.FromFlatDataAndDimensions(a, len(v), len(v)), tensors.FromFlatDataAndDimensions(b, len(v), len(v))
}

func TestSpecialValues(t *testing.T) {
	one := func(f func(*g.Node) *g.Node) fn { return func(x, _ *g.Node) *g.Node { return f(x) } }
	narrow := func(f fn) fn {
		return func(x, y *g.Node) *g.Node {
			return g.ConvertDType(f(g.ConvertDType(x, dtypes.BFloat16), g.ConvertDType(y, dtypes.BFloat16)), dtypes.Float32)
		}
	}
	rows := map[string]fn{
		"add": g.Add, "sub": g.Sub, "mul": g.Mul, "div": g.Div, "max": g.Max, "min": g.Min,
		"neg": one(g.Neg), "abs": one(g.Abs), "sqrt": one(g.Sqrt), "exp": one(g.Exp), "sigmoid": one(g.Sigmoid), "log": one(g.Log),
		"tanh": one(g.Tanh), "sign": one(g.Sign), "rsqrt": one(g.Rsqrt), "floor": one(g.Floor), "ceil": one(g.Ceil),
		"log1p": one(g.Log1P), "expm1": one(g.Expm1),
		"equal": g.Equal, "notEqual": g.NotEqual, "less": g.LessThan, "lessOrEqual": g.LessOrEqual,
		"greater": g.GreaterThan, "greaterOrEqual": g.GreaterOrEqual,
		"where":     func(x, y *g.Node) *g.Node { return g.Where(g.GreaterThan(x, y), x, y) },
		"addScalar": func(x, _ *g.Node) *g.Node { return g.AddScalar(x, 3) },
		"mulScalar": func(x, _ *g.Node) *g.Node { return g.MulScalar(x, -0.5) },
		"subFrom":   func(x, _ *g.Node) *g.Node { return g.Sub(g.Scalar(x.Graph(), dtypes.Float32, 1), x) },
		"subScalar": func(x, _ *g.Node) *g.Node { return g.Sub(x, g.Scalar(x.Graph(), dtypes.Float32, 1)) },
		"divBy":     func(x, _ *g.Node) *g.Node { return g.Div(x, g.Scalar(x.Graph(), dtypes.Float32, 3)) },
		"finite":    func(x, _ *g.Node) *g.Node { return g.IsFinite(x) },
		"isNaN":     func(x, _ *g.Node) *g.Node { return g.IsNaN(x) },
		"or":        func(x, y *g.Node) *g.Node { return g.LogicalOr(g.LessThan(x, y), g.Equal(x, y)) },
		"xor":       func(x, y *g.Node) *g.Node { return g.LogicalXor(g.LessThan(x, y), g.LogicalNot(g.IsFinite(x))) },
		"sumRows":   func(x, y *g.Node) *g.Node { return g.ReduceSum(g.Add(x, y), 1) },
		"maxRows":   func(x, y *g.Node) *g.Node { return g.ReduceMax(g.Add(x, y), 1) },
		"sumFinite": func(x, _ *g.Node) *g.Node { return g.ReduceSum(g.Where(g.IsFinite(x), x, g.ZerosLike(x)), 0) },
		"bf16Add":   narrow(g.Add), "bf16Mul": narrow(g.Mul), "bf16Div": narrow(g.Div),
		"bf16Where": narrow(func(x, y *g.Node) *g.Node { return g.Where(g.LessThan(x, y), x, y) }),
		"bf16Sum":   narrow(func(x, y *g.Node) *g.Node { return g.ReduceMax(g.Add(x, y), 1) }),
		"toInt": func(x, _ *g.Node) *g.Node {
			return g.ConvertDType(g.Where(g.LessThan(g.Abs(x), g.Scalar(x.Graph(), dtypes.Float32, 1e6)), x, g.ZerosLike(x)), dtypes.Int32)
		},
	}
	ref, dut := backend(t, "go:ops_sequential"), backend(t, "cpu:threads=2")
	x, y := special()
	in, other := flatten(x), flatten(y)
	for name, f := range rows {
		t.Run(name, func(t *testing.T) {
			var want []float64
			if err := func() (err error) {
				defer func() {
					if p := recover(); p != nil {
						err = fmt.Errorf("%v", p)
					}
				}()
				want = eval(ref, f, x, y)
				return nil
			}(); err != nil {
				t.Skipf("the reference does not have it: %.80v", err)
			}
			got := eval(dut, f, x, y)
			for i, w := range want {
				h := got[i]
				near := math.Abs(w-h) <= 1e-6*math.Abs(w)+2e-44
				if strings.HasPrefix(name, "bf16") { // the reference cuts off where this rounds
					near = math.Abs(w-h) <= math.Abs(w)/64+1e-40
				}
				if name == "sign" && math.IsNaN(in[i]) { // a NaN, as in XLA; the reference says 0
					w = in[i]
				}
				if w != h && !near && !(math.IsNaN(w) && math.IsNaN(h)) {
					t.Errorf("of %v and %v: %v, want %v", in[i*len(in)/len(want)], other[i*len(in)/len(want)], h, w)
				}
			}
		})
	}
}

func TestEmptyShapes(t *testing.T) {
	b := backend(t, "cpu:threads=2")
	rows := map[string]struct {
		f    fn
		want []float64
	}{
		"add":       {g.Add, nil},
		"transpose": {func(x, _ *g.Node) *g.Node { return g.Reshape(g.Transpose(g.Exp(x), 0, 1), -1, 9) }, nil},
		"sumAll":    {func(x, _ *g.Node) *g.Node { return g.ReduceAllSum(x) }, []float64{0}},
		"sumRows":   {func(x, _ *g.Node) *g.Node { return g.ReduceSum(x, 0) }, make([]float64, 9)},
		"sumCols":   {func(x, _ *g.Node) *g.Node { return g.ReduceSum(x, 1) }, nil},
		"product":   {func(x, y *g.Node) *g.Node { return g.DotGeneral(x, []int{1}, nil, y, []int{1}, nil) }, nil},
		"overNone":  {func(x, y *g.Node) *g.Node { return g.ReduceSum(g.DotGeneral(x, []int{0}, nil, y, []int{0}, nil), 0) }, make([]float64, 9)},
		"concat":    {func(x, y *g.Node) *g.Node { return g.Concatenate([]*g.Node{x, y}, 0) }, nil},
		"where":     {func(x, y *g.Node) *g.Node { return g.Where(g.LessThan(x, y), x, y) }, nil},
		"bf16":      {func(x, _ *g.Node) *g.Node { return g.ConvertDType(x, dtypes.BFloat16) }, nil},
		"softmax":   {func(x, _ *g.Node) *g.Node { return g.Softmax(x, -1) }, nil},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			x := tensors.FromFlatDataAndDimensions([]float32{}, 0, 9)
			got := eval(b, row.f, x, x)
			if fmt.Sprint(got) != fmt.Sprint(row.want) {
				t.Errorf("%v, want %v", got, row.want)
			}
		})
	}
}

func TestUnsupportedIsRefused(t *testing.T) {
	b := backend(t, "cpu:threads=1")
	builder := b.Builder("refused")
	x, err := builder.Constant([]float32{1, 2}, 2)
	if err != nil {
		t.Fatal(err)
	}
	const want = "FFT is not supported; use backend go or xla"
	if _, err := builder.FFT(x, backends.FFTForward, []int{2}); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("FFT: %v, want an error that names it and says what to use", err)
	}
	if _, err := builder.ConvertDType(x, dtypes.Complex64); err == nil {
		t.Error("complex numbers were accepted")
	}
	if _, err := builder.Constant([]float32{1, 2}, 3); err == nil {
		t.Error("a constant of another size was accepted")
	}
}
