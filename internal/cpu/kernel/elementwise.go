package kernel

import "math"

// The binary functions compute dst[i] = a[i] op b[i].
var (
	Add func(dst, a, b []float32)
	Sub func(dst, a, b []float32)
	Mul func(dst, a, b []float32)
	Div func(dst, a, b []float32)
	// Max and Min give NaN where either operand is NaN.
	Max func(dst, a, b []float32)
	Min func(dst, a, b []float32)
)

// The scalar functions compute dst[i] from a[i] and s.
var (
	AddScalar func(dst, a []float32, s float32)
	Scale     func(dst, a []float32, s float32)
)

// The unary functions compute dst[i] = f(a[i]). Neg, Abs and Sqrt are exact or correctly rounded. Exp errs by at most 2 ulp and Sigmoid by
// 3 on normal results; Exp gives 0 below -104 and +Inf above 88.73.
var (
	Neg     func(dst, a []float32)
	Abs     func(dst, a []float32)
	Sqrt    func(dst, a []float32)
	Exp     func(dst, a []float32)
	Sigmoid func(dst, a []float32)
)

// The comparisons compute 1 where a[i] op b[i] holds, else 0. A NaN differs from everything.
var (
	Equal          func(dst, a, b []float32)
	NotEqual       func(dst, a, b []float32)
	Less           func(dst, a, b []float32)
	LessOrEqual    func(dst, a, b []float32)
	Greater        func(dst, a, b []float32)
	GreaterOrEqual func(dst, a, b []float32)
)

// Choose computes dst[i] = a[i] where on[i] is not 0, else b[i].
var Choose func(dst, on, a, b []float32)

// Fill sets every element to s.
var Fill func(dst []float32, s float32)

func compareGeneric(f func(a, b float32) bool) func(dst, a, b []float32) {
	return func(dst, a, b []float32) {
		for i := range dst {
			if x, y := a[i], b[i]; f(x, y) {
				dst[i] = 1
			} else {
				dst[i] = 0
			}
		}
	}
}

// useGeneric selects the Go code for every function.
func useGeneric() {
	Equal = compareGeneric(func(a, b float32) bool { return a == b })
	NotEqual = compareGeneric(func(a, b float32) bool { return a != b })
	Less = compareGeneric(func(a, b float32) bool { return a < b })
	LessOrEqual = compareGeneric(func(a, b float32) bool { return a <= b })
	Greater = compareGeneric(func(a, b float32) bool { return a > b })
	GreaterOrEqual = compareGeneric(func(a, b float32) bool { return a >= b })
	Choose = func(dst, on, a, b []float32) {
		for i := range dst {
			if on[i] != 0 {
				dst[i] = a[i]
			} else {
				dst[i] = b[i]
			}
		}
	}
	Fill = func(dst []float32, s float32) {
		for i := range dst {
			dst[i] = s
		}
	}

	packPanel, microTile = packPanelGeneric, microTileGeneric
	column, columnBF16 = nil, nil
	packRows14, packRows32 = nil, nil
	dotsPairsBF16, hasTileRegisters = false, false
	packPanelBF16, microTileBF16 = packPanelBF16Generic, microTileWidened
	Add = func(d, a, b []float32) {
		for i := range d {
			d[i] = a[i] + b[i]
		}
	}
	Sub = func(d, a, b []float32) {
		for i := range d {
			d[i] = a[i] - b[i]
		}
	}
	Mul = func(d, a, b []float32) {
		for i := range d {
			d[i] = a[i] * b[i]
		}
	}
	Div = func(d, a, b []float32) {
		for i := range d {
			d[i] = a[i] / b[i]
		}
	}
	Max = func(d, a, b []float32) {
		for i := range d {
			d[i] = max(a[i], b[i])
		}
	}
	Min = func(d, a, b []float32) {
		for i := range d {
			d[i] = min(a[i], b[i])
		}
	}
	AddScalar = func(d, a []float32, s float32) {
		for i := range d {
			d[i] = a[i] + s
		}
	}
	Scale = func(d, a []float32, s float32) {
		for i := range d {
			d[i] = a[i] * s
		}
	}
	Neg = func(d, a []float32) {
		for i := range d {
			d[i] = -a[i]
		}
	}
	Abs = func(d, a []float32) {
		for i := range d {
			d[i] = math.Float32frombits(math.Float32bits(a[i]) &^ (1 << 31))
		}
	}
	Sqrt = func(d, a []float32) {
		for i := range d {
			d[i] = float32(math.Sqrt(float64(a[i])))
		}
	}
	Exp = func(d, a []float32) {
		for i := range d {
			d[i] = exp32(a[i])
		}
	}
	Sigmoid = func(d, a []float32) {
		for i := range d {
			d[i] = sigmoid32(a[i])
		}
	}
	transpose = transposeGeneric
	SwiGLU, SwiGLUGrad = swiGLUGeneric, swiGLUGradGeneric
	sum = sumGeneric
	toBF16, fromBF16, roundBF16 = toBF16Generic, fromBF16Generic, roundBF16Generic
}

func exp32(x float32) float32     { return float32(math.Exp(float64(x))) }
func sigmoid32(x float32) float32 { return float32(1 / (1 + math.Exp(-float64(x)))) }
func silu32(x float32) float32 {
	if x < -200 && !math.IsInf(float64(x), -1) {
		return 0 * x
	}
	return x * sigmoid32(x)
}

// Log computes dst[i] = ln(a[i]), correctly rounded but for rare ties.
func Log(dst, a []float32) {
	for i := range dst {
		dst[i] = float32(math.Log(float64(a[i])))
	}
}

// Sign computes -1, 0 or 1 with the sign of a[i]; zeros and NaN stay as they are.
func Sign(dst, a []float32) {
	for i, x := range a[:len(dst)] {
		switch {
		case x > 0:
			x = 1
		case x < 0:
			x = -1
		}
		dst[i] = x
	}
}
