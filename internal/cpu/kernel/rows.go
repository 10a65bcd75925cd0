package kernel

import "math"

var (
	sumSquares, sum func(a []float32) float32
	dot             func(a, b []float32) float32
)

// SwiGLU computes dst = silu(gate)*up.
var SwiGLU func(dst, gate, up []float32)

// SwiGLUGrad computes the gradients of SwiGLU's operands from that of its result, dOut, and the result again in dst.
var SwiGLUGrad func(dGate, dUp, dst, gate, up, dOut []float32)

func swiGLUGeneric(dst, gate, up []float32) {
	for i := range dst {
		dst[i] = silu32(gate[i]) * up[i]
	}
}

func swiGLUGradGeneric(dGate, dUp, dst, gate, up, dOut []float32) {
	for i := range dOut {
		g, u, d := gate[i], up[i], dOut[i]
		s := sigmoid32(g)
		dGate[i] = d * u * (s * (1 + g*(1-s)))
		dUp[i] = d * (g * s)
		dst[i] = g * s * u
	}
}

// Sums use 16 interleaved partial sums, added in pairs: a fixed order for a given length.
func foldLanes(l *[16]float32) float32 {
	for w := 8; w > 0; w /= 2 {
		for i := range w {
			l[i] += l[i+w]
		}
	}
	return l[0]
}

func sumGeneric(a []float32) float32 {
	var l [16]float32
	for i, x := range a {
		l[i&15] += x
	}
	return foldLanes(&l)
}

func sumSquaresGeneric(a []float32) float32 { return dotGeneric(a, a) }

func dotGeneric(a, b []float32) float32 {
	var l [16]float32
	for i, x := range a {
		l[i&15] += float32(x * b[i])
	}
	return foldLanes(&l)
}

// Sum adds a slice in a fixed order (16 interleaved partial sums).
func Sum(a []float32) float32 { return sum(a) }

// Dot is the inner product of two slices of equal length in a fixed order.
func Dot(a, b []float32) float32 { return dot(a, b[:len(a)]) }

// RMSNorm computes dst[r,:] = x[r,:]*inv with inv = 1/sqrt(mean(x²)+eps) for rows of n values; dst may be x. inv receives the rows' factors when not nil.
func RMSNorm(dst, x, inv []float32, rows, n int, eps float32) {
	for r := range rows {
		xr := x[r*n:][:n]
		f := float32(1 / math.Sqrt(float64(sumSquares(xr)/float32(n)+eps)))
		if inv != nil {
			inv[r] = f
		}
		Scale(dst[r*n:][:n], xr, f)
	}
}

// RMSNormGrad computes dx = inv*dy - x*inv³*mean(x*dy) per row, from the forward input x; inv may be nil (recomputed). dx may be dy.
func RMSNormGrad(dx, x, dy, inv []float32, rows, n int, eps float32) {
	for r := range rows {
		xr, dr := x[r*n:][:n], dy[r*n:][:n]
		var f float32
		if inv != nil {
			f = inv[r]
		} else {
			f = float32(1 / math.Sqrt(float64(sumSquares(xr)/float32(n)+eps)))
		}
		m := -f * f * f * (dot(xr, dr) / float32(n))
		o := dx[r*n:][:n]
		Scale(o, dr, f)
		Axpy(o, xr, m)
	}
}

// SumRows adds dst[j] = sum over i of a[i*n+j], rows in order.
func SumRows(dst, a []float32, rows, n int) {
	clear(dst[:n])
	for i := range rows {
		Add(dst[:n], dst[:n], a[i*n:][:n])
	}
}

// MaxOf returns the greatest element, -Inf for none, NaN if any is NaN.
func MaxOf(a []float32) float32 {
	m := float32(math.Inf(-1))
	for _, x := range a {
		m = max(m, x)
	}
	return m
}

// Softmax computes rows of n values: exp(x-max)/sum; dst may be x.
func Softmax(dst, x []float32, rows, n int) {
	for r := range rows {
		d := dst[r*n:][:n]
		AddScalar(d, x[r*n:][:n], -MaxOf(x[r*n:][:n]))
		Exp(d, d)
		Scale(d, d, 1/sum(d))
	}
}

// SoftmaxGrad computes dx = y*(dy - sum(y*dy)) per row from the forward output y; dx may be dy.
func SoftmaxGrad(dx, y, dy []float32, rows, n int) {
	for r := range rows {
		o := dx[r*n:][:n]
		AddScalar(o, dy[r*n:][:n], -dot(y[r*n:][:n], dy[r*n:][:n]))
		Mul(o, o, y[r*n:][:n])
	}
}
