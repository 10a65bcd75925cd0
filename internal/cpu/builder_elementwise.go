package cpu

import (
	"fmt"
	"slices"

	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/backends/shapeinference"
	"github.com/gomlx/gomlx/pkg/core/dtypes"
)

func (b *builder) unary(op backends.OpType, x backends.Op) (backends.Op, error) {
	in, err := b.own(op, x)
	if err != nil {
		return nil, err
	}
	shape, err := shapeinference.UnaryOp(op, in[0].shape)
	if err != nil {
		return nil, err
	}
	return b.add(op, shape, nil, in...)
}

func (b *builder) binary(op backends.OpType, lhs, rhs backends.Op) (backends.Op, error) {
	in, err := b.own(op, lhs, rhs)
	if err != nil {
		return nil, err
	}
	shape, err := shapeinference.BinaryOp(op, in[0].shape, in[1].shape)
	if err != nil {
		return nil, err
	}
	return b.add(op, shape, nil, in...)
}

func (b *builder) compare(op backends.OpType, lhs, rhs backends.Op) (backends.Op, error) {
	in, err := b.own(op, lhs, rhs)
	if err != nil {
		return nil, err
	}
	shape, err := shapeinference.ComparisonOp(op, in[0].shape, in[1].shape)
	if err != nil {
		return nil, err
	}
	return b.add(op, shape, nil, in...)
}

func (b *builder) predicate(op backends.OpType, x backends.Op) (backends.Op, error) {
	in, err := b.own(op, x)
	if err != nil {
		return nil, err
	}
	if !in[0].shape.DType.IsFloat() {
		return nil, fmt.Errorf("backend cpu: %s of %s: floats only", op, in[0].shape)
	}
	shape := in[0].shape.Clone()
	shape.DType = dtypes.Bool
	return b.add(op, shape, nil, in...)
}

func (b *builder) reduce(op backends.OpType, x backends.Op, axes []int) (backends.Op, error) {
	in, err := b.own(op, x)
	if err != nil {
		return nil, err
	}
	if len(axes) == 0 {
		axes = freeAxes(in[0].shape.Rank())
	}
	shape, err := shapeinference.ReduceOp(in[0].shape, axes)
	if err != nil {
		return nil, err
	}
	shape.DType = in[0].shape.DType
	return b.add(op, shape, slices.Clone(axes), in...)
}

// Abs is elementwise.
func (b *builder) Abs(x backends.Op) (backends.Op, error) { return b.unary(backends.OpTypeAbs, x) }

// Ceil is elementwise.
func (b *builder) Ceil(x backends.Op) (backends.Op, error) { return b.unary(backends.OpTypeCeil, x) }

// Cos is elementwise.
func (b *builder) Cos(x backends.Op) (backends.Op, error) { return b.unary(backends.OpTypeCos, x) }

// Erf is elementwise.
func (b *builder) Erf(x backends.Op) (backends.Op, error) { return b.unary(backends.OpTypeErf, x) }

// Exp is elementwise.
func (b *builder) Exp(x backends.Op) (backends.Op, error) { return b.unary(backends.OpTypeExp, x) }

// Expm1 is elementwise.
func (b *builder) Expm1(x backends.Op) (backends.Op, error) { return b.unary(backends.OpTypeExpm1, x) }

// Floor is elementwise.
func (b *builder) Floor(x backends.Op) (backends.Op, error) { return b.unary(backends.OpTypeFloor, x) }

// Log is elementwise.
func (b *builder) Log(x backends.Op) (backends.Op, error) { return b.unary(backends.OpTypeLog, x) }

// Log1p is elementwise.
func (b *builder) Log1p(x backends.Op) (backends.Op, error) { return b.unary(backends.OpTypeLog1p, x) }

// Logistic is elementwise.
func (b *builder) Logistic(x backends.Op) (backends.Op, error) {
	return b.unary(backends.OpTypeLogistic, x)
}

// Neg is elementwise.
func (b *builder) Neg(x backends.Op) (backends.Op, error) { return b.unary(backends.OpTypeNeg, x) }

// Round is elementwise.
func (b *builder) Round(x backends.Op) (backends.Op, error) { return b.unary(backends.OpTypeRound, x) }

// Rsqrt is elementwise.
func (b *builder) Rsqrt(x backends.Op) (backends.Op, error) { return b.unary(backends.OpTypeRsqrt, x) }

// Sign is elementwise.
func (b *builder) Sign(x backends.Op) (backends.Op, error) { return b.unary(backends.OpTypeSign, x) }

// Sin is elementwise.
func (b *builder) Sin(x backends.Op) (backends.Op, error) { return b.unary(backends.OpTypeSin, x) }

// Sqrt is elementwise.
func (b *builder) Sqrt(x backends.Op) (backends.Op, error) { return b.unary(backends.OpTypeSqrt, x) }

// Tanh is elementwise.
func (b *builder) Tanh(x backends.Op) (backends.Op, error) { return b.unary(backends.OpTypeTanh, x) }

// LogicalNot is elementwise.
func (b *builder) LogicalNot(x backends.Op) (backends.Op, error) {
	return b.unary(backends.OpTypeLogicalNot, x)
}

// IsFinite is elementwise.
func (b *builder) IsFinite(x backends.Op) (backends.Op, error) {
	return b.predicate(backends.OpTypeIsFinite, x)
}

// IsNaN is elementwise.
func (b *builder) IsNaN(x backends.Op) (backends.Op, error) {
	return b.predicate(backends.OpTypeIsNaN, x)
}

// Add is elementwise, with axes of dimension 1 repeated.
func (b *builder) Add(lhs, rhs backends.Op) (backends.Op, error) {
	return b.binary(backends.OpTypeAdd, lhs, rhs)
}

// Sub is elementwise, with axes of dimension 1 repeated.
func (b *builder) Sub(lhs, rhs backends.Op) (backends.Op, error) {
	return b.binary(backends.OpTypeSub, lhs, rhs)
}

// Mul is elementwise, with axes of dimension 1 repeated.
func (b *builder) Mul(lhs, rhs backends.Op) (backends.Op, error) {
	return b.binary(backends.OpTypeMul, lhs, rhs)
}

// Div is elementwise, with axes of dimension 1 repeated.
func (b *builder) Div(lhs, rhs backends.Op) (backends.Op, error) {
	return b.binary(backends.OpTypeDiv, lhs, rhs)
}

// Rem is elementwise, with axes of dimension 1 repeated.
func (b *builder) Rem(lhs, rhs backends.Op) (backends.Op, error) {
	return b.binary(backends.OpTypeRem, lhs, rhs)
}

// Pow is elementwise, with axes of dimension 1 repeated.
func (b *builder) Pow(lhs, rhs backends.Op) (backends.Op, error) {
	return b.binary(backends.OpTypePow, lhs, rhs)
}

// Max is elementwise, with axes of dimension 1 repeated.
func (b *builder) Max(lhs, rhs backends.Op) (backends.Op, error) {
	return b.binary(backends.OpTypeMax, lhs, rhs)
}

// Min is elementwise, with axes of dimension 1 repeated.
func (b *builder) Min(lhs, rhs backends.Op) (backends.Op, error) {
	return b.binary(backends.OpTypeMin, lhs, rhs)
}

// LogicalAnd is elementwise, with axes of dimension 1 repeated.
func (b *builder) LogicalAnd(lhs, rhs backends.Op) (backends.Op, error) {
	return b.binary(backends.OpTypeLogicalAnd, lhs, rhs)
}

// LogicalOr is elementwise, with axes of dimension 1 repeated.
func (b *builder) LogicalOr(lhs, rhs backends.Op) (backends.Op, error) {
	return b.binary(backends.OpTypeLogicalOr, lhs, rhs)
}

// LogicalXor is elementwise, with axes of dimension 1 repeated.
func (b *builder) LogicalXor(lhs, rhs backends.Op) (backends.Op, error) {
	return b.binary(backends.OpTypeLogicalXor, lhs, rhs)
}

// Equal is elementwise, with axes of dimension 1 repeated.
func (b *builder) Equal(lhs, rhs backends.Op) (backends.Op, error) {
	return b.compare(backends.OpTypeEqual, lhs, rhs)
}

// NotEqual is elementwise, with axes of dimension 1 repeated.
func (b *builder) NotEqual(lhs, rhs backends.Op) (backends.Op, error) {
	return b.compare(backends.OpTypeNotEqual, lhs, rhs)
}

// GreaterOrEqual is elementwise, with axes of dimension 1 repeated.
func (b *builder) GreaterOrEqual(lhs, rhs backends.Op) (backends.Op, error) {
	return b.compare(backends.OpTypeGreaterOrEqual, lhs, rhs)
}

// GreaterThan is elementwise, with axes of dimension 1 repeated.
func (b *builder) GreaterThan(lhs, rhs backends.Op) (backends.Op, error) {
	return b.compare(backends.OpTypeGreaterThan, lhs, rhs)
}

// LessOrEqual is elementwise, with axes of dimension 1 repeated.
func (b *builder) LessOrEqual(lhs, rhs backends.Op) (backends.Op, error) {
	return b.compare(backends.OpTypeLessOrEqual, lhs, rhs)
}

// LessThan is elementwise, with axes of dimension 1 repeated.
func (b *builder) LessThan(lhs, rhs backends.Op) (backends.Op, error) {
	return b.compare(backends.OpTypeLessThan, lhs, rhs)
}

// ReduceSum reduces axes; without any it reduces all.
func (b *builder) ReduceSum(x backends.Op, axes ...int) (backends.Op, error) {
	return b.reduce(backends.OpTypeReduceSum, x, axes)
}

// ReduceProduct reduces axes; without any it reduces all.
func (b *builder) ReduceProduct(x backends.Op, axes ...int) (backends.Op, error) {
	return b.reduce(backends.OpTypeReduceProduct, x, axes)
}

// ReduceMax reduces axes; without any it reduces all.
func (b *builder) ReduceMax(x backends.Op, axes ...int) (backends.Op, error) {
	return b.reduce(backends.OpTypeReduceMax, x, axes)
}

// ReduceMin reduces axes; without any it reduces all.
func (b *builder) ReduceMin(x backends.Op, axes ...int) (backends.Op, error) {
	return b.reduce(backends.OpTypeReduceMin, x, axes)
}

// ReduceLogicalAnd reduces axes; without any it reduces all.
func (b *builder) ReduceLogicalAnd(x backends.Op, axes ...int) (backends.Op, error) {
	return b.reduce(backends.OpTypeReduceLogicalAnd, x, axes)
}

// ReduceLogicalOr reduces axes; without any it reduces all.
func (b *builder) ReduceLogicalOr(x backends.Op, axes ...int) (backends.Op, error) {
	return b.reduce(backends.OpTypeReduceLogicalOr, x, axes)
}

// ReduceLogicalXor reduces axes; without any it reduces all.
func (b *builder) ReduceLogicalXor(x backends.Op, axes ...int) (backends.Op, error) {
	return b.reduce(backends.OpTypeReduceLogicalXor, x, axes)
}
