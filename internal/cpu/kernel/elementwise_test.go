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
		if (math.IsNaN(want) && got != got) || float64(got) == want {
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
	math.SmallestNonzeroFloat32, -math.SmallestNonzeroFloat32, 0x1p-127, 0x1p-126, math.MaxFloat32, -math.MaxFloat32, 88.7, 88.8, -87.3, -88, -100, -103.9, -105, 0.5, 1e-8, 1e30, 3}

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

func TestUnary(t *testing.T) {
	sig := func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
	everyLevel(t, func(t *testing.T) {
		for _, c := range []struct {
			name string
			f    func(dst, a []float32)
			want func(float64) float64
			ulp  float64
			tiny float64 // absolute error allowed besides
		}{
			{"neg", Neg, func(x float64) float64 { return -x }, 0, 0},
			{"abs", Abs, math.Abs, 0, 0},
			{"sqrt", Sqrt, math.Sqrt, 0.5, 0},
			{"exp", Exp, math.Exp, 2, 0},
			{"log", Log, math.Log, 0.5001, 0},
			{"sigmoid", Sigmoid, sig, 3, 0x1p-126},
			{"silu", Silu, func(x float64) float64 { return x * sig(x) }, 4, 0x1p-119},
		} {
			r := rand.New(rand.NewPCG(1, 2))
			worst := 0.0
			for _, n := range lengths {
				a := values(r, n)
				d := guarded(t, n, nil, func(d []float32) { c.f(d, a) })
				for i, x := range a {
					want := c.want(float64(x))
					if u := ulps(d[i], want); u > c.ulp && !(math.Abs(float64(d[i])-want) <= c.tiny) {
						t.Fatalf("%s(%g) = %g, want %g: %.2f ulp, bound %g", c.name, x, d[i], want, u, c.ulp)
					} else if math.Abs(want) > 0x1p-118 {
						worst = max(worst, u)
					}
				}
				in := append([]float32(nil), a...)
				c.f(in, in)
				for i := range in {
					if math.Float32bits(in[i]) != math.Float32bits(d[i]) {
						t.Fatalf("%s in place differs at %d of %d", c.name, i, n)
					}
				}
			}
			t.Logf("%s: worst %.2f ulp", c.name, worst)
		}
	})
}

func TestBinaryAndScalar(t *testing.T) {
	everyLevel(t, func(t *testing.T) {
		const s = float32(1.7)
		for _, c := range []struct {
			name string
			f    func(dst, a, b []float32)
			want func(a, b float32) float32
		}{
			{"add", Add, func(a, b float32) float32 { return a + b }},
			{"sub", Sub, func(a, b float32) float32 { return a - b }},
			{"mul", Mul, func(a, b float32) float32 { return a * b }},
			{"div", Div, func(a, b float32) float32 { return a / b }},
			{"max", Max, func(a, b float32) float32 { return max(a, b) }},
			{"min", Min, func(a, b float32) float32 { return min(a, b) }},
			{"add scalar", func(d, a, _ []float32) { AddScalar(d, a, s) }, func(a, _ float32) float32 { return a + s }},
			{"scale", func(d, a, _ []float32) { Scale(d, a, s) }, func(a, _ float32) float32 { return a * s }},
		} {
			r := rand.New(rand.NewPCG(3, 4))
			for _, n := range lengths {
				a, b := values(r, n), values(r, n)
				d := guarded(t, n, nil, func(d []float32) { c.f(d, a, b) })
				for i := range d {
					w := c.want(a[i], b[i])
					if math.Float32bits(d[i]) != math.Float32bits(w) && !(d[i] != d[i] && w != w) {
						t.Fatalf("%s(%g, %g) = %g, want %g", c.name, a[i], b[i], d[i], w)
					}
				}
			}
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

func TestRows(t *testing.T) {
	everyLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(5, 6))
		for _, n := range []int{1, 2, 15, 16, 17, 64, 97, 513} {
			const rows = 3
			x, dy := normals(r, rows*n), normals(r, rows*n)
			y, dx, sy, sdx := make([]float64, rows*n), make([]float64, rows*n), make([]float64, rows*n), make([]float64, rows*n)
			for i := range rows {
				var ss, xd, top, den, yd float64
				top = math.Inf(-1)
				for j := i * n; j < (i+1)*n; j++ {
					ss += float64(x[j]) * float64(x[j])
					xd += float64(x[j]) * float64(dy[j])
					top = max(top, float64(x[j]))
				}
				f := 1 / math.Sqrt(ss/float64(n)+1e-5)
				for j := i * n; j < (i+1)*n; j++ {
					y[j] = float64(x[j]) * f
					dx[j] = f*float64(dy[j]) - float64(x[j])*f*f*f*xd/float64(n)
					den += math.Exp(float64(x[j]) - top)
				}
				for j := i * n; j < (i+1)*n; j++ {
					sy[j] = math.Exp(float64(x[j])-top) / den
					yd += sy[j] * float64(dy[j])
				}
				for j := i * n; j < (i+1)*n; j++ {
					sdx[j] = sy[j] * (float64(dy[j]) - yd)
				}
			}
			inv := make([]float32, rows)
			near(t, "rms", guarded(t, rows*n, nil, func(d []float32) { RMSNorm(d, x, inv, rows, n, 1e-5) }), y, 2e-6, 0)
			near(t, "rms gradient", guarded(t, rows*n, dy, func(d []float32) { RMSNormGrad(d, x, d, inv, rows, n, 1e-5) }), dx, 1e-5, 1e-5)
			p := guarded(t, rows*n, x, func(d []float32) { Softmax(d, d, rows, n) })
			near(t, "softmax", p, sy, 2e-6, 1e-9)
			near(t, "softmax gradient", guarded(t, rows*n, nil, func(d []float32) { SoftmaxGrad(d, p, dy, rows, n) }), sdx, 1e-5, 1e-6)
		}
	})
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

func TestAdamAtan2AndEMA(t *testing.T) {
	everyLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(9, 10))
		c := AdamAtan2{LR: 1, WeightDecay: 0.1, Beta1: 0.9, Beta2: 0.95, Correction1: 0.19, Correction2: 0.0975, Scale: 1}
		for _, n := range lengths {
			p, m, v, g := make([]float32, n), normals(r, n), normals(r, n), normals(r, n)
			for i := range v {
				v[i] *= v[i]
				if i%5 == 0 {
					m[i], v[i], g[i] = 0, 0, 0
				}
			}
			wm, wv, wp := make([]float64, n), make([]float64, n), make([]float64, n)
			for i := range p {
				wm[i] = float64(c.Beta1)*float64(m[i]) + float64(1-c.Beta1)*float64(g[i])
				wv[i] = float64(c.Beta2)*float64(v[i]) + float64(1-c.Beta2)*float64(g[i])*float64(g[i])
				wp[i] = -math.Atan2(wm[i]/float64(c.Correction1), math.Sqrt(wv[i]/float64(c.Correction2)))
			}
			c.Update(p, m, v, g)
			near(t, "m", m, wm, 3e-7, 3e-7)
			near(t, "v", v, wv, 3e-7, 0)
			near(t, "p", p, wp, 1e-6, 1e-6)
			a, b := normals(r, n), normals(r, n)
			w := make([]float64, n)
			for i := range a {
				w[i] = float64(float32(0.999))*float64(a[i]) + float64(1-float32(0.999))*float64(b[i])
			}
			EMA(a, b, 0.999)
			near(t, "ema", a, w, 2e-7, 1e-9)
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
				if d[i] != w[i] || math.Float32bits(back[i]) != uint32(w[i])<<16 || (exact == exact && math.Abs(float64(back[i])-exact) > math.Abs(exact)/256+0x1p-134) {
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
		for _, s := range [][3]int{{1, 1, 1}, {2, 17, 33}, {3, 16, 5}, {1, 0, 4}, {2, 97, 64}} {
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

// TestRMSNormColumns holds the column form against the row form of the transposed matrix.
func TestRMSNormColumns(t *testing.T) {
	everyLevel(t, func(t *testing.T) {
		for _, s := range [][2]int{{1, 1}, {97, 33}, {5, 64}, {16, 17}} {
			m, n := s[0], s[1]
			r := rand.New(rand.NewPCG(2, 2))
			x, dy := normals(r, m*n), normals(r, m*n)
			xt, dyt, inv := make([]float32, m*n), make([]float32, m*n), make([]float32, n)
			Transpose(xt, x, 1, m, n)
			Transpose(dyt, dy, 1, m, n)
			widen := func(rows []float32) []float64 {
				back, w := make([]float32, m*n), make([]float64, m*n)
				Transpose(back, rows, 1, n, m)
				for i, v := range back {
					w[i] = float64(v)
				}
				return w
			}
			want := make([]float32, m*n)
			RMSNorm(want, xt, nil, n, m, 1e-5)
			near(t, "columns", guarded(t, m*n, nil, func(d []float32) { RMSNormColumns(d, x, inv, m, n, 1e-5) }), widen(want), 2e-6, 0)
			RMSNormGrad(want, xt, dyt, nil, n, m, 1e-5)
			near(t, "gradient", guarded(t, m*n, dy, func(d []float32) { RMSNormColumnsGrad(d, x, d, inv, make([]float32, n), m, n) }), widen(want), 1e-5, 1e-5)
		}
	})
}

func BenchmarkElementwise(b *testing.B) {
	const n = 1 << 14
	x, y, z := normals(rand.New(rand.NewPCG(1, 1)), n), make([]float32, n), make([]float32, 2*n)
	c := AdamAtan2{LR: 1e-4, WeightDecay: 0.1, Beta1: 0.9, Beta2: 0.95, Correction1: 1, Correction2: 1, Scale: 1}
	for _, f := range []struct {
		name  string
		words int
		run   func()
	}{
		{"add", 3, func() { Add(y, x, y) }}, {"exp", 2, func() { Exp(y, x) }}, {"silu", 2, func() { Silu(y, x) }},
		{"swiglu", 3, func() { SwiGLU(y, z[:n], z[n:]) }}, {"sum", 1, func() { _ = Sum(x) }}, {"adam", 7, func() { c.Update(z[:n], y, z[n:], x) }},
	} {
		b.Run(fmt.Sprintf("%s/%s", f.name, Current()), func(b *testing.B) {
			b.SetBytes(int64(4 * n * f.words))
			for b.Loop() {
				f.run()
			}
		})
	}
}
