package kernel

import "math"

var sum func(a []float32) float32

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

// Sum adds a slice in a fixed order (16 interleaved partial sums).
func Sum(a []float32) float32 { return sum(a) }

// MaxOf returns the greatest element, -Inf for none, NaN if any is NaN.
func MaxOf(a []float32) float32 {
	m := float32(math.Inf(-1))
	for _, x := range a {
		m = max(m, x)
	}
	return m
}

var transpose func(dst, src []float32, rows, cols int)

// Transpose writes dst[b,j,i] = src[b,i,j] for batch matrices of rows×cols. dst overlaps nothing.
func Transpose(dst, src []float32, batch, rows, cols int) {
	for b := range batch {
		transpose(dst[b*rows*cols:][:rows*cols], src[b*rows*cols:][:rows*cols], rows, cols)
	}
}

func transposeGeneric(dst, src []float32, rows, cols int) {
	for i0 := 0; i0 < rows; i0 += 16 {
		for j := range cols {
			for i := i0; i < min(i0+16, rows); i++ {
				dst[j*rows+i] = src[i*cols+j]
			}
		}
	}
}
