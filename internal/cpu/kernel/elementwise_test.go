package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// ulps is the distance of got from the exact value in units of the last place; equal infinities and two NaN are 0 apart.
func ulps(got float32, want float64) float64 {
	if math.IsNaN(want) || math.IsInf(want, 0) || float64(got) == want {
		bothNaN := math.IsNaN(want) && got != got
		if bothNaN || float64(got) == want {
			return 0
		}
		return math.Inf(1)
	}
	if math.Abs(want) >= math.MaxFloat32*(1+0x1p-25) && math.IsInf(float64(got), int(math.Copysign(1, want))) {
		return 0
	}
	_, e := math.Frexp(want)
	return math.Abs(float64(got)-want) / math.Ldexp(1, max(e-24, -149))
}

var special = []float32{0, float32(math.Copysign(0, -1)), 1, -1, float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)),
	math.SmallestNonzeroFloat32, -math.SmallestNonzeroFloat32, 0x1p-127, 0x1p-126, math.MaxFloat32, -math.MaxFloat32,
	88.7, 88.8, -87.3, -88, -100, -103.9, -105, 0.5, 1e-8, 1e30, 3}

func values(r *rand.Rand, n int) []float32 {
	s := normals(r, n)
	for i := range s {
		switch r.IntN(4) {
		case 0:
			s[i] = special[r.IntN(len(special))]
		case 1:
			s[i] *= 30
		}
	}
	return s
}

var lengths = []int{0, 1, 2, 15, 16, 17, 31, 32, 33, 97, 1000}

// guarded runs f on a slice with sentinels behind it, which must survive.
func guarded(t *testing.T, n int, fill []float32, f func(dst []float32)) []float32 {
	t.Helper()
	d := make([]float32, n+20)
	copy(d, fill)
	for i := n; i < len(d); i++ {
		d[i] = 12345
	}
	f(d[:n:n])
	for i := n; i < len(d); i++ {
		if d[i] != 12345 {
			t.Fatalf("length %d: wrote element %d behind the end", n, i)
		}
	}
	return d[:n]
}

type unaryCase struct {
	name string
	f    func() func(dst, a []float32) // at the level in use
	want func(float64) float64
	ulp  float64
	tiny float64 // absolute error allowed besides
}

func sigmoid64(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

var unaryCases = []unaryCase{
	{"neg", func() func(dst, a []float32) { return Neg }, func(x float64) float64 { return -x }, 0, 0},
	{"abs", func() func(dst, a []float32) { return Abs }, math.Abs, 0, 0},
	{"sqrt", func() func(dst, a []float32) { return Sqrt }, math.Sqrt, 0.5, 0},
	{"exp", func() func(dst, a []float32) { return Exp }, math.Exp, 2, 0},
	{"log", func() func(dst, a []float32) { return Log }, math.Log, 0.5001, 0},
	{"sigmoid", func() func(dst, a []float32) { return Sigmoid }, sigmoid64, 3, 0x1p-126},
	{"sign", func() func(dst, a []float32) { return Sign }, func(x float64) float64 {
		if x > 0 {
			return 1
		} else if x < 0 {
			return -1
		}
		return x
	}, 0, 0},
	{"round", func() func(dst, a []float32) { return RoundBF16 }, func(x float64) float64 {
		out := []float32{0}
		roundBF16Generic(out, []float32{float32(x)})
		return float64(out[0])
	}, 0, 0},
}

// checkUnary compares with the float64 function, apart and in place, and returns the worst error in ulp.
func checkUnary(t *testing.T, c unaryCase, a []float32) (worst float64) {
	t.Helper()
	d := guarded(t, len(a), nil, func(d []float32) { c.f()(d, a) })
	for i, x := range a {
		want := c.want(float64(x))
		if u := ulps(d[i], want); u > c.ulp && !(math.Abs(float64(d[i])-want) <= c.tiny) {
			t.Fatalf("%s(%g) = %g, want %g: %.2f ulp, bound %g", c.name, x, d[i], want, u, c.ulp)
		} else if math.Abs(want) > 0x1p-118 {
			worst = max(worst, u)
		}
	}
	in := append([]float32(nil), a...)
	c.f()(in, in)
	for i := range in {
		if math.Float32bits(in[i]) != math.Float32bits(d[i]) && d[i] == d[i] {
			t.Fatalf("%s in place differs at %d of %d", c.name, i, len(a))
		}
	}
	return worst
}

func TestUnary(t *testing.T) {
	everyLevel(t, func(t *testing.T) {
		for _, c := range unaryCases {
			r := rand.New(rand.NewPCG(1, 2))
			worst := 0.0
			for _, n := range lengths {
				worst = max(worst, checkUnary(t, c, values(r, n)))
			}
			t.Logf("%s: worst %.2f ulp", c.name, worst)
		}
	})
}

// TestErrorBounds holds the stated bounds of exp and sigmoid over float32's whole range, every 4099th number.
func TestErrorBounds(t *testing.T) {
	const stride = 4099
	a := make([]float32, 1<<32/stride)
	for i := range a {
		a[i] = math.Float32frombits(uint32(i * stride))
	}
	everyLevel(t, func(t *testing.T) {
		for _, c := range unaryCases {
			if c.name == "exp" || c.name == "sigmoid" {
				t.Logf("%s: worst %.2f ulp, bound %g", c.name, checkUnary(t, c, a), c.ulp)
			}
		}
	})
}

type binaryCase struct {
	name string
	f    func() func(dst, a, b []float32)
	want func(a, b float32) float32
}

func oneIf(f func(a, b float32) bool) func(a, b float32) float32 {
	return func(a, b float32) float32 {
		if f(a, b) {
			return 1
		}
		return 0
	}
}

const scalarOperand = float32(1.7)

var binaryCases = []binaryCase{
	{"add", func() func(dst, a, b []float32) { return Add }, func(a, b float32) float32 { return a + b }},
	{"sub", func() func(dst, a, b []float32) { return Sub }, func(a, b float32) float32 { return a - b }},
	{"mul", func() func(dst, a, b []float32) { return Mul }, func(a, b float32) float32 { return a * b }},
	{"div", func() func(dst, a, b []float32) { return Div }, func(a, b float32) float32 { return a / b }},
	{"max", func() func(dst, a, b []float32) { return Max }, func(a, b float32) float32 { return max(a, b) }},
	{"min", func() func(dst, a, b []float32) { return Min }, func(a, b float32) float32 { return min(a, b) }},
	{"equal", func() func(dst, a, b []float32) { return Equal }, oneIf(func(a, b float32) bool { return a == b })},
	{"not equal", func() func(dst, a, b []float32) { return NotEqual }, oneIf(func(a, b float32) bool { return a != b })},
	{"less", func() func(dst, a, b []float32) { return Less }, oneIf(func(a, b float32) bool { return a < b })},
	{"less or equal", func() func(dst, a, b []float32) { return LessOrEqual }, oneIf(func(a, b float32) bool { return a <= b })},
	{"greater", func() func(dst, a, b []float32) { return Greater }, oneIf(func(a, b float32) bool { return a > b })},
	{"greater or equal", func() func(dst, a, b []float32) { return GreaterOrEqual }, oneIf(func(a, b float32) bool { return a >= b })},
	{"choose", func() func(dst, a, b []float32) { return func(d, a, b []float32) { Choose(d, a, a, b) } }, func(a, b float32) float32 {
		if a != 0 {
			return a
		}
		return b
	}},
	{"add scalar", func() func(dst, a, b []float32) { return func(d, a, _ []float32) { AddScalar(d, a, scalarOperand) } },
		func(a, _ float32) float32 { return a + scalarOperand }},
	{"scale", func() func(dst, a, b []float32) { return func(d, a, _ []float32) { Scale(d, a, scalarOperand) } },
		func(a, _ float32) float32 { return a * scalarOperand }},
	{"fill", func() func(dst, a, b []float32) { return func(d, _, _ []float32) { Fill(d, scalarOperand) } },
		func(_, _ float32) float32 { return scalarOperand }},
}

// checkBinary compares bits with float32 arithmetic; any NaN is as good as another.
func checkBinary(t *testing.T, c binaryCase, a, b []float32) {
	t.Helper()
	d := guarded(t, len(a), nil, func(d []float32) { c.f()(d, a, b) })
	for i := range d {
		w := c.want(a[i], b[i])
		if math.Float32bits(d[i]) != math.Float32bits(w) && !(d[i] != d[i] && w != w) {
			t.Fatalf("%s(%g, %g) = %g, want %g", c.name, a[i], b[i], d[i], w)
		}
	}
}

func TestBinaryAndScalar(t *testing.T) {
	everyLevel(t, func(t *testing.T) {
		for _, c := range binaryCases {
			r := rand.New(rand.NewPCG(3, 4))
			for _, n := range lengths {
				checkBinary(t, c, values(r, n), values(r, n))
			}
		}
	})
}

// checkRest holds the sums and the conversions against their definitions, on finite values where only those have one.
func checkRest(t *testing.T, a []float32) {
	t.Helper()
	var finite []float32
	sum, size, top := 0.0, 0.0, math.Inf(-1)
	for _, x := range a {
		if math.Abs(float64(x)) < 1e30 {
			finite = append(finite, x)
			sum, size, top = sum+float64(x), size+math.Abs(float64(x)), max(top, float64(x))
		}
	}
	if got := float64(Sum(finite)); !(math.Abs(got-sum) <= size*float64(len(finite)+1)*0x1p-24) {
		t.Fatalf("sum of %d values is %g, want %g", len(finite), got, sum)
	}
	if got := float64(MaxOf(finite)); got != top {
		t.Fatalf("greatest of %d values is %g, want %g", len(finite), got, top)
	}
	d, w, back := make([]uint16, len(a)), make([]uint16, len(a)), make([]float32, len(a))
	ToBF16(d, a)
	toBF16Generic(w, a)
	FromBF16(back, d)
	for i := range d {
		if d[i] != w[i] || math.Float32bits(back[i]) != uint32(d[i])<<16 {
			t.Fatalf("bfloat16 of %x is %x, want %x; back %x", math.Float32bits(a[i]), d[i], w[i], math.Float32bits(back[i]))
		}
	}
}

func TestSums(t *testing.T) {
	everyLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(5, 6))
		for _, n := range lengths {
			checkRest(t, values(r, n))
		}
	})
}

func near(t *testing.T, what string, got []float32, want []float64, rel, abs float64) {
	t.Helper()
	for i, w := range want {
		if d := math.Abs(float64(got[i]) - w); !(d <= rel*math.Abs(w)+abs) {
			t.Fatalf("%s[%d] = %g, want %g", what, i, got[i], w)
		}
	}
}

func TestSwiGLU(t *testing.T) {
	everyLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(7, 8))
		for _, n := range []int{1, 15, 16, 17, 96, 1536} {
			gate, up, d := normals(r, n), normals(r, n), normals(r, n)
			want, dGate, dUp := make([]float64, n), make([]float64, n), make([]float64, n)
			for i := range n {
				g, u, o := float64(gate[i]), float64(up[i]), float64(d[i])
				s := 1 / (1 + math.Exp(-g))
				want[i] = g * s * u
				dGate[i], dUp[i] = o*u*s*(1+g*(1-s)), o*g*s
			}
			near(t, "swiglu", guarded(t, n, nil, func(o []float32) { SwiGLU(o, gate, up) }), want, 1e-6, 0)
			a, b, c := make([]float32, n), make([]float32, n), make([]float32, n)
			SwiGLUGrad(a, b, c, gate, up, d)
			near(t, "gate", a, dGate, 2e-6, 1e-6)
			near(t, "up", b, dUp, 2e-6, 1e-6)
			near(t, "again", c, want, 1e-6, 0)
			near(t, "in place", guarded(t, n, d, func(o []float32) { SwiGLUGrad(o, gate, up, gate, up, o) }), dGate, 2e-6, 1e-6)
			near(t, "in place", up, want, 1e-6, 0)
		}
	})
}

func TestBF16(t *testing.T) {
	everyLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(11, 12))
		for _, n := range lengths {
			a := make([]float32, n)
			for i := range a {
				a[i] = math.Float32frombits(r.Uint32() &^ uint32(r.IntN(2)*0x7fff))
			}
			d, w, back := make([]uint16, n+1), make([]uint16, n), make([]float32, n)
			ToBF16(d[:n], a)
			toBF16Generic(w, a)
			FromBF16(back, w)
			for i := range w {
				exact := float64(a[i])
				far := math.Abs(float64(back[i])-exact) > math.Abs(exact)/256+0x1p-134 // never for a NaN
				if d[i] != w[i] || math.Float32bits(back[i]) != uint32(w[i])<<16 || far {
					t.Fatalf("bf16(%x) = %x, want %x, back %g", math.Float32bits(a[i]), d[i], w[i], back[i])
				}
			}
			if d[n] != 0 {
				t.Fatal("wrote behind the end")
			}
		}
	})
}

func TestTranspose(t *testing.T) {
	everyLevel(t, func(t *testing.T) {
		for _, s := range [][3]int{{1, 1, 1}, {2, 17, 33}, {3, 16, 5}, {1, 0, 4}, {2, 97, 64}, {1, 2, 20}, {2, 3, 17}, {1, 15, 33}, {1, 1, 40}} {
			b, m, n := s[0], s[1], s[2]
			src := normals(rand.New(rand.NewPCG(1, 1)), b*m*n)
			d := guarded(t, b*m*n, nil, func(d []float32) { Transpose(d, src, b, m, n) })
			for i := range src {
				at, row, col := i/(m*n), i/n%m, i%n
				if d[at*m*n+col*m+row] != src[i] {
					t.Fatalf("%v: element %d misplaced", s, i)
				}
			}
		}
	})
}

func BenchmarkElementwise(b *testing.B) {
	const n = 1 << 14
	x, y, z := normals(rand.New(rand.NewPCG(1, 1)), n), make([]float32, n), make([]float32, 2*n)
	for _, f := range []struct {
		name  string
		words int
		run   func()
	}{
		{"add", 3, func() { Add(y, x, y) }}, {"exp", 2, func() { Exp(y, x) }}, {"sigmoid", 2, func() { Sigmoid(y, x) }},
		{"swiglu", 3, func() { SwiGLU(y, z[:n], z[n:]) }}, {"sum", 1, func() { _ = Sum(x) }},
	} {
		b.Run(fmt.Sprintf("%s/%s", f.name, Current()), func(b *testing.B) {
			b.SetBytes(int64(4 * n * f.words))
			for b.Loop() {
				f.run()
			}
		})
	}
}
