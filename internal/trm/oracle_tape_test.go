package trm

import "math"

// The oracle is a second TRM in plain float64 Go, written for clarity from the
// model's description and sharing no code with the graphs: matrices on a tape
// with reverse-mode gradients. It makes folders of golden numbers of any size.

// mat is an r x c matrix and, once backward has run, its gradient.
type mat struct {
	r, c int
	v, g []float64
}

func newMat(r, c int) *mat { return &mat{r, c, make([]float64, r*c), make([]float64, r*c)} }

// tape records how to carry gradients back; a nil tape records nothing.
type tape struct{ back []func() }

func (t *tape) add(f func()) {
	if t != nil {
		t.back = append(t.back, f)
	}
}

func (t *tape) backward() {
	for i := len(t.back) - 1; i >= 0; i-- {
		t.back[i]()
	}
}

// mulT is a·bᵀ.
func (t *tape) mulT(a, b *mat) *mat {
	out := newMat(a.r, b.r)
	for i := range a.r {
		for j := range b.r {
			s := 0.0
			for k := range a.c {
				s += a.v[i*a.c+k] * b.v[j*b.c+k]
			}
			out.v[i*b.r+j] = s
		}
	}
	t.add(func() {
		for i := range a.r {
			for j := range b.r {
				d := out.g[i*b.r+j]
				for k := range a.c {
					a.g[i*a.c+k] += d * b.v[j*b.c+k]
					b.g[j*b.c+k] += d * a.v[i*a.c+k]
				}
			}
		}
	})
	return out
}

func (t *tape) transpose(a *mat) *mat {
	return t.gather(a, a.c, a.r, func(i, j int) int { return j*a.c + i })
}

// gather is out[i][j] = a[from(i, j)]; a negative index gives zero.
func (t *tape) gather(a *mat, r, c int, from func(i, j int) int) *mat {
	out := newMat(r, c)
	each := func(f func(o, a int)) {
		for i := range r {
			for j := range c {
				if k := from(i, j); k >= 0 {
					f(i*c+j, k)
				}
			}
		}
	}
	each(func(o, k int) { out.v[o] = a.v[k] })
	t.add(func() { each(func(o, k int) { a.g[k] += out.g[o] }) })
	return out
}

func (t *tape) cols(a *mat, from, to int) *mat {
	return t.gather(a, a.r, to-from, func(i, j int) int { return i*a.c + from + j })
}

func (t *tape) rows(a *mat, from, to int) *mat {
	return t.gather(a, to-from, a.c, func(i, j int) int { return (from+i)*a.c + j })
}

// zip is f(a, b) entry by entry; df gives the derivatives by a and b.
func (t *tape) zip(a, b *mat, f func(x, y float64) float64, df func(x, y float64) (dx, dy float64)) *mat {
	out := newMat(a.r, a.c)
	for i := range out.v {
		out.v[i] = f(a.v[i], b.v[i])
	}
	t.add(func() {
		for i, d := range out.g {
			dx, dy := df(a.v[i], b.v[i])
			a.g[i] += d * dx
			b.g[i] += d * dy
		}
	})
	return out
}

func (t *tape) plus(a, b *mat) *mat {
	return t.zip(a, b, func(x, y float64) float64 { return x + y }, func(_, _ float64) (float64, float64) { return 1, 1 })
}

func (t *tape) scale(a *mat, s float64) *mat {
	return t.zip(a, newMat(a.r, a.c), func(x, _ float64) float64 { return s * x }, func(_, _ float64) (float64, float64) { return s, 0 })
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// swiglu is silu(a)*b.
func (t *tape) swiglu(a, b *mat) *mat {
	return t.zip(a, b, func(x, y float64) float64 { return x * sigmoid(x) * y }, func(x, y float64) (float64, float64) {
		s := sigmoid(x)
		return y * s * (1 + x*(1-s)), x * s
	})
}

// norm divides each row by its root mean square.
func (t *tape) norm(a *mat, eps float64) *mat {
	out := newMat(a.r, a.c)
	n := float64(a.c)
	scale := func(row []float64) float64 {
		s := 0.0
		for _, x := range row {
			s += x * x
		}
		return math.Sqrt(s/n + eps)
	}
	for i := range a.r {
		row := a.v[i*a.c : (i+1)*a.c]
		d := scale(row)
		for j, x := range row {
			out.v[i*a.c+j] = x / d
		}
	}
	t.add(func() {
		for i := range a.r {
			row, g := a.v[i*a.c:(i+1)*a.c], out.g[i*a.c:(i+1)*a.c]
			d, dot := scale(row), 0.0
			for j, x := range row {
				dot += x * g[j]
			}
			for j, x := range row {
				a.g[i*a.c+j] += g[j]/d - x*dot/(n*d*d*d)
			}
		}
	})
	return out
}

// softmax is over each row.
func (t *tape) softmax(a *mat) *mat {
	out := newMat(a.r, a.c)
	for i := range a.r {
		total := 0.0
		for j := range a.c {
			out.v[i*a.c+j] = math.Exp(a.v[i*a.c+j])
			total += out.v[i*a.c+j]
		}
		for j := range a.c {
			out.v[i*a.c+j] /= total
		}
	}
	t.add(func() {
		for i := range a.r {
			p, g, dot := out.v[i*a.c:(i+1)*a.c], out.g[i*a.c:(i+1)*a.c], 0.0
			for j := range p {
				dot += p[j] * g[j]
			}
			for j := range p {
				a.g[i*a.c+j] += p[j] * (g[j] - dot)
			}
		}
	})
	return out
}

// rope turns the pairs (j, j+c/2) of each row by row*theta^(-2j/c).
func (t *tape) rope(a *mat, theta float64) *mat {
	half := a.c / 2
	out := newMat(a.r, a.c)
	turn := func(from, to []float64, sign float64) {
		for i := range a.r {
			for j := range half {
				sin, cos := math.Sincos(sign * float64(i) * math.Pow(theta, -2*float64(j)/float64(a.c)))
				x, y := from[i*a.c+j], from[i*a.c+half+j]
				to[i*a.c+j] += x*cos - y*sin
				to[i*a.c+half+j] += y*cos + x*sin
			}
		}
	}
	turn(a.v, out.v, 1)
	t.add(func() { turn(out.g, a.g, -1) })
	return out
}
