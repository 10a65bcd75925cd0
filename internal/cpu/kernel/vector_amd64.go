package kernel

//go:generate go run ./gen

//go:noescape
func tile512(a, b, c *float32, ldc, kc, rows, cols int, acc int)

//go:noescape
func column512(a, b, out *float32, kc, next, panels int)

//go:noescape
func packCopy512(dst, src *float32, step, kc, lanes, width int)

//go:noescape
func packRows14x512(dst, src *float32, step, kc, lanes int)

//go:noescape
func packRows32x512(dst, src *float32, step, kc, lanes int)

//go:noescape
func packTranspose512(dst, src *float32, lane, kc, lanes, width, keep int)

//go:noescape
func vADD512(dst, a, b *float32, n int)

//go:noescape
func vSUB512(dst, a, b *float32, n int)

//go:noescape
func vMUL512(dst, a, b *float32, n int)

//go:noescape
func vDIV512(dst, a, b *float32, n int)

//go:noescape
func vMAX512(dst, a, b *float32, n int)

//go:noescape
func vMIN512(dst, a, b *float32, n int)

//go:noescape
func addScalar512(dst, a *float32, n int, s float32)

//go:noescape
func scale512(dst, a *float32, n int, s float32)

//go:noescape
func neg512(dst, a *float32, n int)

//go:noescape
func abs512(dst, a *float32, n int)

//go:noescape
func sqrt512(dst, a *float32, n int)

//go:noescape
func exp512(dst, a *float32, n int)

//go:noescape
func sigmoid512(dst, a *float32, n int)

//go:noescape
func cmpEQ512(dst, a, b *float32, n int)

//go:noescape
func cmpNEQ512(dst, a, b *float32, n int)

//go:noescape
func cmpLT512(dst, a, b *float32, n int)

//go:noescape
func cmpLE512(dst, a, b *float32, n int)

//go:noescape
func cmpGT512(dst, a, b *float32, n int)

//go:noescape
func cmpGE512(dst, a, b *float32, n int)

//go:noescape
func choose512(dst, on, a, b *float32, n int)

//go:noescape
func fill512(dst *float32, n int, s float32)

//go:noescape
func roundBF16x512(dst, a *float32, n int)

//go:noescape
func swiGLU512(dst, gate, up *float32, n int)

//go:noescape
func swiGLUGrad512(dGate, dUp, dst, gate, up, dOut *float32, n int)

//go:noescape
func sum512(a, lanes *float32, n int)

//go:noescape
func toBF16x512(dst *uint16, a *float32, n int)

//go:noescape
func fromBF16x512(dst *float32, a *uint16, n int)

// useLevel selects the assembly of a level.
func useLevel(l Level) {
	if l == AVX2 {
		microTile = microTileSmall
	}
	if l < AVX512 {
		return
	}
	Add, Sub, Mul = binary(vADD512), binary(vSUB512), binary(vMUL512)
	Div, Max, Min = binary(vDIV512), binary(vMAX512), binary(vMIN512)
	AddScalar, Scale = scalar(addScalar512), scalar(scale512)
	Neg, Abs, Sqrt = unary(neg512), unary(abs512), unary(sqrt512)
	Exp, Sigmoid = unary(exp512), unary(sigmoid512)
	Equal, NotEqual, Less = binary(cmpEQ512), binary(cmpNEQ512), binary(cmpLT512)
	LessOrEqual, Greater, GreaterOrEqual = binary(cmpLE512), binary(cmpGT512), binary(cmpGE512)
	Choose = func(dst, on, a, b []float32) {
		if n := len(dst); n > 0 {
			_, _, _ = on[n-1], a[n-1], b[n-1]
			choose512(&dst[0], &on[0], &a[0], &b[0], n)
		}
	}
	Fill = func(dst []float32, s float32) {
		if n := len(dst); n > 0 {
			fill512(&dst[0], n, s)
		}
	}
	roundBF16 = unary(roundBF16x512)
	SwiGLU = binary(swiGLU512)
	transpose = transpose512
	SwiGLUGrad = func(dGate, dUp, dst, gate, up, dOut []float32) {
		if n := len(dOut); n > 0 {
			_, _, _ = dGate[n-1], dUp[n-1], dst[n-1]
			_, _ = gate[n-1], up[n-1]
			swiGLUGrad512(&dGate[0], &dUp[0], &dst[0], &gate[0], &up[0], &dOut[0], n)
		}
	}
	sum = func(a []float32) float32 {
		if len(a) == 0 {
			return 0
		}
		var l [16]float32
		sum512(&a[0], &l[0], len(a))
		return foldLanes(&l)
	}
	toBF16 = func(dst []uint16, a []float32) {
		if n := len(dst); n > 0 {
			toBF16x512(&dst[0], &a[0], n)
		}
	}
	fromBF16 = func(dst []float32, a []uint16) {
		if n := len(dst); n > 0 {
			fromBF16x512(&dst[0], &a[0], n)
		}
	}
	packRows14, packRows32 = packRows14x512, packRows32x512
	packPanel, microTile, column = packPanel512, microTile512, column512
	useBF16(l)
}

// binary checks lengths before assembly runs, as do scalar and unary.
func binary(f func(dst, a, b *float32, n int)) func(dst, a, b []float32) {
	return func(dst, a, b []float32) {
		if n := len(dst); n > 0 {
			_, _ = a[n-1], b[n-1]
			f(&dst[0], &a[0], &b[0], n)
		}
	}
}

func scalar(f func(dst, a *float32, n int, s float32)) func(dst, a []float32, s float32) {
	return func(dst, a []float32, s float32) {
		if n := len(dst); n > 0 {
			_ = a[n-1]
			f(&dst[0], &a[0], n, s)
		}
	}
}

func unary(f func(dst, a *float32, n int)) func(dst, a []float32) {
	return func(dst, a []float32) {
		if n := len(dst); n > 0 {
			_ = a[n-1]
			f(&dst[0], &a[0], n)
		}
	}
}
