package cpu

import (
	"math"

	"github.com/gomlx/gomlx/backends"
)

// number lists the types that arithmetic is done in: bfloat16 computes in float32, every integer and bool in int64.
type number interface{ float32 | float64 | int64 }

var unaryFloat = map[backends.OpType]func(float64) float64{
	backends.OpTypeAbs: math.Abs, backends.OpTypeCeil: math.Ceil, backends.OpTypeCos: math.Cos, backends.OpTypeErf: math.Erf,
	backends.OpTypeExp: math.Exp, backends.OpTypeExpm1: math.Expm1, backends.OpTypeFloor: math.Floor, backends.OpTypeLog: math.Log,
	backends.OpTypeLog1p: math.Log1p, backends.OpTypeRound: math.RoundToEven, backends.OpTypeSin: math.Sin,
	backends.OpTypeSqrt: math.Sqrt, backends.OpTypeTanh: math.Tanh,
	backends.OpTypeNeg:      func(x float64) float64 { return -x },
	backends.OpTypeRsqrt:    func(x float64) float64 { return 1 / math.Sqrt(x) },
	backends.OpTypeLogistic: logistic,
	backends.OpTypeSign: func(x float64) float64 {
		if x > 0 {
			return 1
		} else if x < 0 {
			return -1
		}
		return x
	},
}

func logistic(x float64) float64 {
	if x >= 0 {
		return 1 / (1 + math.Exp(-x))
	}
	e := math.Exp(x)
	return e / (1 + e)
}

// unaryKernel finds the loop of an operation in class T, nil where it has none.
func unaryKernel[T number](op backends.OpType) func(dst, x []T) {
	switch op {
	case backends.OpTypeNeg:
		return func(dst, x []T) {
			for i, v := range x {
				dst[i] = -v
			}
		}
	case backends.OpTypeSqrt:
		return func(dst, x []T) {
			for i, v := range x {
				dst[i] = T(math.Sqrt(float64(v)))
			}
		}
	case backends.OpTypeExp:
		if k, ok := any(expFloat32).(func(dst, x []T)); ok {
			return k
		}
	case backends.OpTypeLogistic:
		if k, ok := any(logisticFloat32).(func(dst, x []T)); ok {
			return k
		}
	case backends.OpTypeLogicalNot:
		return func(dst, x []T) {
			for i, v := range x {
				dst[i] = truth[T](v == 0)
			}
		}
	}
	if f := unaryFloat[op]; f != nil {
		return func(dst, x []T) {
			for i, v := range x {
				dst[i] = T(f(float64(v)))
			}
		}
	}
	return nil
}

// expOf is e**x within 2 ulp of float32: 2**n times a polynomial over [-ln2/2, ln2/2], computed in float32.
func expOf(x float32) float32 {
	switch {
	case x != x:
		return x
	case x > 88.72283:
		return float32(math.Inf(1))
	case x < -87.3:
		return float32(math.Exp(float64(x)))
	}
	n := float32(math.Floor(float64(x*1.44269504 + 0.5)))
	r := x - n*0.693359375
	r += n * 2.12194440e-4
	p := float32(1.9875691500e-4)
	p = p*r + 1.3981999507e-3
	p = p*r + 8.3334519073e-3
	p = p*r + 4.1665795894e-2
	p = p*r + 1.6666665459e-1
	p = p*r + 5.0000001201e-1
	p = p*r*r + r + 1
	e := int32(n)
	if e > 127 {
		return p * 2 * math.Float32frombits(uint32(e-1+127)<<23)
	}
	return p * math.Float32frombits(uint32(e+127)<<23)
}

func expFloat32(dst, x []float32) {
	for i, v := range x {
		dst[i] = expOf(v)
	}
}

func logisticFloat32(dst, x []float32) {
	for i, v := range x {
		if v >= 0 {
			dst[i] = 1 / (1 + expOf(-v))
			continue
		}
		e := expOf(v)
		dst[i] = e / (1 + e)
	}
}

func truth[T number](b bool) T {
	if b {
		return 1
	}
	return 0
}

func elementwise2[T number](f func(a, b T) T) func(dst, a, b []T) {
	return func(dst, a, b []T) {
		for i := range dst {
			dst[i] = f(a[i], b[i])
		}
	}
}

func divide[T number](a, b T) T {
	if one := T(1); b == 0 && one/2 == 0 {
		return -one
	}
	return a / b
}

func remainder[T number](a, b T) T {
	if one := T(1); one/2 == 0 {
		if b == 0 {
			return a
		}
		return T(int64(a) % int64(b))
	}
	return T(math.Mod(float64(a), float64(b)))
}

func power[T number](a, b T) T {
	one := T(1)
	if one/2 != 0 {
		return T(math.Pow(float64(a), float64(b)))
	}
	out := one
	for ; b > 0; b-- {
		out *= a
	}
	return out
}

func binaryKernels[T number]() map[backends.OpType]func(dst, a, b []T) {
	return map[backends.OpType]func(dst, a, b []T){
		backends.OpTypeAdd: func(dst, a, b []T) {
			a, b = a[:len(dst)], b[:len(dst)]
			for i := range dst {
				dst[i] = a[i] + b[i]
			}
		},
		backends.OpTypeSub: func(dst, a, b []T) {
			a, b = a[:len(dst)], b[:len(dst)]
			for i := range dst {
				dst[i] = a[i] - b[i]
			}
		},
		backends.OpTypeMul: func(dst, a, b []T) {
			a, b = a[:len(dst)], b[:len(dst)]
			for i := range dst {
				dst[i] = a[i] * b[i]
			}
		},
		backends.OpTypeDiv:        elementwise2(divide[T]),
		backends.OpTypeRem:        elementwise2(remainder[T]),
		backends.OpTypePow:        elementwise2(power[T]),
		backends.OpTypeMax:        elementwise2(func(a, b T) T { return max(a, b) }),
		backends.OpTypeMin:        elementwise2(func(a, b T) T { return min(a, b) }),
		backends.OpTypeLogicalAnd: elementwise2(func(a, b T) T { return truth[T](a != 0 && b != 0) }),
		backends.OpTypeLogicalOr:  elementwise2(func(a, b T) T { return truth[T](a != 0 || b != 0) }),
		backends.OpTypeLogicalXor: elementwise2(func(a, b T) T { return truth[T]((a != 0) != (b != 0)) }),
	}
}

func compareKernels[T number]() map[backends.OpType]func(a, b T) bool {
	return map[backends.OpType]func(a, b T) bool{
		backends.OpTypeEqual:          func(a, b T) bool { return a == b },
		backends.OpTypeNotEqual:       func(a, b T) bool { return a != b },
		backends.OpTypeGreaterOrEqual: func(a, b T) bool { return a >= b },
		backends.OpTypeGreaterThan:    func(a, b T) bool { return a > b },
		backends.OpTypeLessOrEqual:    func(a, b T) bool { return a <= b },
		backends.OpTypeLessThan:       func(a, b T) bool { return a < b },
	}
}

type reducer[T number] struct {
	initial func(lo, hi float64) float64 // of the type's least and greatest value
	fold    func(acc T, x []T) T
	merge   func(dst, acc, x []T) // dst = acc op x, element by element
}

func foldWith[T number](f func(a, b T) T) func(T, []T) T {
	return func(acc T, x []T) T {
		for _, v := range x {
			acc = f(acc, v)
		}
		return acc
	}
}

func reducers[T number]() map[backends.OpType]reducer[T] {
	k := binaryKernels[T]()
	zero, one := func(_, _ float64) float64 { return 0 }, func(_, _ float64) float64 { return 1 }
	simple := func(op backends.OpType, initial func(lo, hi float64) float64, f func(a, b T) T) reducer[T] {
		return reducer[T]{initial, foldWith(f), k[op]}
	}
	sum := reducer[T]{zero, func(acc T, x []T) T {
		var s [4]T
		for ; len(x) >= 4; x = x[4:] {
			s[0], s[1], s[2], s[3] = s[0]+x[0], s[1]+x[1], s[2]+x[2], s[3]+x[3]
		}
		for _, v := range x {
			s[0] += v
		}
		return acc + ((s[0] + s[1]) + (s[2] + s[3]))
	}, k[backends.OpTypeAdd]}
	return map[backends.OpType]reducer[T]{
		backends.OpTypeReduceSum:        sum,
		backends.OpTypeReduceProduct:    simple(backends.OpTypeMul, one, func(a, b T) T { return a * b }),
		backends.OpTypeReduceMax:        simple(backends.OpTypeMax, func(lo, _ float64) float64 { return lo }, func(a, b T) T { return max(a, b) }),
		backends.OpTypeReduceMin:        simple(backends.OpTypeMin, func(_, hi float64) float64 { return hi }, func(a, b T) T { return min(a, b) }),
		backends.OpTypeReduceLogicalAnd: simple(backends.OpTypeLogicalAnd, one, func(a, b T) T { return truth[T](a != 0 && b != 0) }),
		backends.OpTypeReduceLogicalOr:  simple(backends.OpTypeLogicalOr, zero, func(a, b T) T { return truth[T](a != 0 || b != 0) }),
		backends.OpTypeReduceLogicalXor: simple(backends.OpTypeLogicalXor, zero, func(a, b T) T { return truth[T]((a != 0) != (b != 0)) }),
	}
}
