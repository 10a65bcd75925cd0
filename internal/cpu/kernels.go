package cpu

import (
	"math"

	"github.com/gomlx/gomlx/backends"

	"trmsweep/internal/cpu/kernel"
)

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

// unaryKernel finds the loop of an operation in class T, nil if there is none.
func unaryKernel[T number](op backends.OpType) func(dst, x []T) {
	if k, ok := any(vectorUnary[op]).(func(dst, x []T)); ok && k != nil {
		return k
	}
	switch op {
	case backends.OpTypeNeg:
		return func(dst, x []T) {
			for i, v := range x {
				dst[i] = -v
			}
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

// vectorUnary and vectorBinary are the float32 loops that package kernel has.
var (
	vectorUnary = map[backends.OpType]func(dst, x []float32){
		backends.OpTypeNeg: kernel.Neg, backends.OpTypeAbs: kernel.Abs, backends.OpTypeSqrt: kernel.Sqrt, backends.OpTypeExp: kernel.Exp,
		backends.OpTypeLogistic: kernel.Sigmoid, backends.OpTypeLog: kernel.Log, backends.OpTypeSign: kernel.Sign,
	}
	vectorBinary = map[backends.OpType]func(dst, a, b []float32){
		backends.OpTypeAdd: kernel.Add, backends.OpTypeSub: kernel.Sub, backends.OpTypeMul: kernel.Mul, backends.OpTypeDiv: kernel.Div,
		backends.OpTypeMax: kernel.Max, backends.OpTypeMin: kernel.Min,
	}
	// vectorCompare gives 1 and 0.
	vectorCompare = map[backends.OpType]func(dst, a, b []float32){
		backends.OpTypeEqual: kernel.Equal, backends.OpTypeNotEqual: kernel.NotEqual, backends.OpTypeLessThan: kernel.Less,
		backends.OpTypeLessOrEqual: kernel.LessOrEqual, backends.OpTypeGreaterThan: kernel.Greater,
		backends.OpTypeGreaterOrEqual: kernel.GreaterOrEqual,
	}
)

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
	kernels := map[backends.OpType]func(dst, a, b []T){
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
	for op, k := range vectorBinary {
		if k, ok := any(k).(func(dst, a, b []T)); ok {
			kernels[op] = k
		}
	}
	return kernels
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

// reducer is a reduction in class T.
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
	least, greatest := func(lo, _ float64) float64 { return lo }, func(_, hi float64) float64 { return hi }
	simple := func(op backends.OpType, initial func(lo, hi float64) float64, f func(a, b T) T) reducer[T] {
		return reducer[T]{initial, foldWith(f), k[op]}
	}
	sum := reducer[T]{zero, func(acc T, x []T) T {
		if f, ok := any(x).([]float32); ok {
			return acc + T(kernel.Sum(f))
		}
		var s [4]T
		for ; len(x) >= 4; x = x[4:] {
			for i := range s {
				s[i] += x[i]
			}
		}
		for _, v := range x {
			s[0] += v
		}
		return acc + ((s[0] + s[1]) + (s[2] + s[3]))
	}, k[backends.OpTypeAdd]}
	return map[backends.OpType]reducer[T]{
		backends.OpTypeReduceSum:        sum,
		backends.OpTypeReduceProduct:    simple(backends.OpTypeMul, one, func(a, b T) T { return a * b }),
		backends.OpTypeReduceMax:        simple(backends.OpTypeMax, least, func(a, b T) T { return max(a, b) }),
		backends.OpTypeReduceMin:        simple(backends.OpTypeMin, greatest, func(a, b T) T { return min(a, b) }),
		backends.OpTypeReduceLogicalAnd: simple(backends.OpTypeLogicalAnd, one, func(a, b T) T { return truth[T](a != 0 && b != 0) }),
		backends.OpTypeReduceLogicalOr:  simple(backends.OpTypeLogicalOr, zero, func(a, b T) T { return truth[T](a != 0 || b != 0) }),
		backends.OpTypeReduceLogicalXor: simple(backends.OpTypeLogicalXor, zero, func(a, b T) T { return truth[T]((a != 0) != (b != 0)) }),
	}
}
