package cpu

import (
	"fmt"
	"slices"

	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/backends/shapeinference"
	"github.com/gomlx/gomlx/pkg/core/dtypes"
	"github.com/gomlx/gomlx/pkg/core/shapes"
)

// Identity adds a no-op.
func (b *builder) Identity(x backends.Op) (backends.Op, error) {
	in, err := b.own(backends.OpTypeIdentity, x)
	if err != nil {
		return nil, err
	}
	return b.add(backends.OpTypeIdentity, in[0].shape, nil, in...)
}

// Iota adds 0, 1, 2... along an axis.
func (b *builder) Iota(shape shapes.Shape, axis int) (backends.Op, error) {
	if axis < 0 || axis >= shape.Rank() {
		return nil, fmt.Errorf("backend cpu: Iota: axis %d of %s", axis, shape)
	}
	return b.add(backends.OpTypeIota, shape, axis)
}

// Reshape changes the dimensions, not the size.
func (b *builder) Reshape(x backends.Op, dims ...int) (backends.Op, error) {
	in, err := b.own(backends.OpTypeReshape, x)
	if err != nil {
		return nil, err
	}
	shape, err := shapeinference.ReshapeOp(in[0].shape, dims)
	if err != nil {
		return nil, err
	}
	return b.add(backends.OpTypeReshape, shape, nil, in...)
}

// Transpose permutes axes.
func (b *builder) Transpose(x backends.Op, permutation ...int) (backends.Op, error) {
	in, err := b.own(backends.OpTypeTranspose, x)
	if err != nil {
		return nil, err
	}
	shape, err := shapeinference.TransposeOp(in[0].shape, permutation)
	if err != nil {
		return nil, err
	}
	return b.add(backends.OpTypeTranspose, shape, slices.Clone(permutation), in...)
}

// BroadcastInDim repeats x along new axes and axes of dimension 1.
func (b *builder) BroadcastInDim(x backends.Op, shape shapes.Shape, axes []int) (backends.Op, error) {
	in, err := b.own(backends.OpTypeBroadcastInDim, x)
	if err != nil {
		return nil, err
	}
	if err := shapeinference.BroadcastInDimOp(in[0].shape, shape, axes); err != nil {
		return nil, err
	}
	return b.add(backends.OpTypeBroadcastInDim, shape, slices.Clone(axes), in...)
}

// Slice takes every stride-th element from start to limit.
func (b *builder) Slice(x backends.Op, starts, limits, strides []int) (backends.Op, error) {
	in, err := b.own(backends.OpTypeSlice, x)
	if err != nil {
		return nil, err
	}
	if len(strides) == 0 {
		strides = slices.Repeat([]int{1}, len(starts))
	}
	shape, err := shapeinference.SliceOp(in[0].shape, starts, limits, strides)
	if err != nil {
		return nil, err
	}
	return b.add(backends.OpTypeSlice, shape, sliceSpec{slices.Clone(starts), slices.Clone(strides)}, in...)
}

// Reverse flips axes.
func (b *builder) Reverse(x backends.Op, axes ...int) (backends.Op, error) {
	in, err := b.own(backends.OpTypeReverse, x)
	if err != nil {
		return nil, err
	}
	for _, a := range axes {
		if a < 0 || a >= in[0].shape.Rank() {
			return nil, fmt.Errorf("backend cpu: Reverse: axis %d of %s", a, in[0].shape)
		}
	}
	return b.add(backends.OpTypeReverse, in[0].shape, slices.Clone(axes), in...)
}

// Concatenate joins operands along an axis.
func (b *builder) Concatenate(axis int, operands ...backends.Op) (backends.Op, error) {
	in, err := b.own(backends.OpTypeConcatenate, operands...)
	if err != nil {
		return nil, err
	}
	all := make([]shapes.Shape, len(in))
	for i, n := range in {
		all[i] = n.shape
	}
	shape, err := shapeinference.ConcatenateOp(all, axis)
	if err != nil {
		return nil, err
	}
	return b.add(backends.OpTypeConcatenate, shape, axis, in...)
}

// Pad surrounds x by a value; negative edges crop, interior padding goes between elements.
func (b *builder) Pad(x, fill backends.Op, axes ...backends.PadAxis) (backends.Op, error) {
	in, err := b.own(backends.OpTypePad, x, fill)
	if err != nil {
		return nil, err
	}
	shape := in[0].shape.Clone()
	if len(axes) > shape.Rank() || !in[1].shape.IsScalar() || in[1].shape.DType != shape.DType {
		return nil, fmt.Errorf("backend cpu: Pad %s: %d axes, fill %s; a scalar of the same type is needed", shape, len(axes), in[1].shape)
	}
	for i, a := range axes {
		d := shape.Dimensions[i]
		shape.Dimensions[i] = a.Start + d + max(0, d-1)*a.Interior + a.End
		if shape.Dimensions[i] < 0 || a.Interior < 0 {
			return nil, fmt.Errorf("backend cpu: Pad %s: axis %d cannot be padded by %+v", in[0].shape, i, a)
		}
	}
	return b.add(backends.OpTypePad, shape, slices.Clone(axes), in...)
}

// Where chooses by a boolean, element by element.
func (b *builder) Where(cond, onTrue, onFalse backends.Op) (backends.Op, error) {
	in, err := b.own(backends.OpTypeWhere, cond, onTrue, onFalse)
	if err != nil {
		return nil, err
	}
	shape, err := shapeinference.WhereOp(in[0].shape, in[1].shape, in[2].shape)
	if err != nil {
		return nil, err
	}
	return b.add(backends.OpTypeWhere, shape, nil, in...)
}

// Clamp bounds x.
func (b *builder) Clamp(lo, x, hi backends.Op) (backends.Op, error) {
	y, err := b.Max(lo, x)
	if err != nil {
		return nil, err
	}
	return b.Min(y, hi)
}

// ConvertDType converts values.
func (b *builder) ConvertDType(x backends.Op, dtype dtypes.DType) (backends.Op, error) {
	in, err := b.own(backends.OpTypeConvertDType, x)
	if err != nil {
		return nil, err
	}
	shape := in[0].shape.Clone()
	shape.DType = dtype
	return b.add(backends.OpTypeConvertDType, shape, nil, in...)
}

// ArgMinMax gives the index of the least or greatest element along an axis; a NaN wins.
func (b *builder) ArgMinMax(x backends.Op, axis int, dtype dtypes.DType, isMin bool) (backends.Op, error) {
	in, err := b.own(backends.OpTypeArgMinMax, x)
	if err != nil {
		return nil, err
	}
	shape, err := shapeinference.ArgMinMaxOp(in[0].shape, axis, dtype)
	if err != nil {
		return nil, err
	}
	return b.add(backends.OpTypeArgMinMax, shape, argSpec{axis, isMin}, in...)
}

// Dot is the product of vectors and matrices.
func (b *builder) Dot(lhs, rhs backends.Op) (backends.Op, error) {
	in, err := b.own(backends.OpTypeDot, lhs, rhs)
	if err != nil {
		return nil, err
	}
	if in[0].shape.Rank() < 1 || in[0].shape.Rank() > 2 || in[1].shape.Rank() < 1 || in[1].shape.Rank() > 2 {
		return nil, fmt.Errorf("backend cpu: Dot %s by %s: ranks 1 and 2 only", in[0].shape, in[1].shape)
	}
	return b.DotGeneral(lhs, []int{in[0].shape.Rank() - 1}, nil, rhs, []int{0}, nil)
}

// DotGeneral contracts axes; the result has the batch axes, then the left's other axes, then the right's.
func (b *builder) DotGeneral(lhs backends.Op, lc, lb []int, rhs backends.Op, rc, rb []int) (backends.Op, error) {
	in, err := b.own(backends.OpTypeDotGeneral, lhs, rhs)
	if err != nil {
		return nil, err
	}
	l, r := in[0].shape, in[1].shape
	fault := fmt.Errorf("backend cpu: DotGeneral %s contracting %v batch %v by %s contracting %v batch %v: axes do not agree",
		l, lc, lb, r, rc, rb)
	if l.DType != r.DType || l.DType == dtypes.Bool || len(lc) != len(rc) || len(lb) != len(rb) {
		return nil, fault
	}
	if l.DType == dtypes.Uint8 || l.DType == dtypes.Uint32 {
		return nil, fmt.Errorf("backend cpu: DotGeneral of %s is not supported", l.DType)
	}
	sp := dotSpec{}
	var ok [4]bool
	sp.leftContract, ok[0] = countedFromStart(lc, l.Rank())
	sp.leftBatch, ok[1] = countedFromStart(lb, l.Rank())
	sp.rightContract, ok[2] = countedFromStart(rc, r.Rank())
	sp.rightBatch, ok[3] = countedFromStart(rb, r.Rank())
	if ok != [4]bool{true, true, true, true} {
		return nil, fault
	}
	dims, agree := sp.resultDims(l.Dimensions, r.Dimensions)
	if !agree {
		return nil, fault
	}
	return b.add(backends.OpTypeDotGeneral, shapes.Make(l.DType, dims...), sp, in...)
}

// countedFromStart replaces axes that count from the end. It fails if an axis is not there or occurs twice.
func countedFromStart(axes []int, rank int) ([]int, bool) {
	out := slices.Clone(axes)
	for i, a := range out {
		if a < 0 {
			out[i] = a + rank
		}
		if out[i] < 0 || out[i] >= rank || slices.Contains(out[:i], out[i]) {
			return nil, false
		}
	}
	return out, true
}

// resultDims returns the dimensions of a product of operands with dimensions l and r. It fails if those of the axes do not agree.
func (sp dotSpec) resultDims(l, r []int) (dims []int, ok bool) {
	for i, left := range sp.leftBatch {
		right := sp.rightBatch[i]
		contracted := slices.Contains(sp.leftContract, left) || slices.Contains(sp.rightContract, right)
		if contracted || l[left] != r[right] {
			return nil, false
		}
		dims = append(dims, l[left])
	}
	for i, left := range sp.leftContract {
		if l[left] != r[sp.rightContract[i]] {
			return nil, false
		}
	}
	for _, a := range freeAxes(len(l), sp.leftContract, sp.leftBatch) {
		dims = append(dims, l[a])
	}
	for _, a := range freeAxes(len(r), sp.rightContract, sp.rightBatch) {
		dims = append(dims, r[a])
	}
	return dims, true
}

// Gather takes slices of the operand at indices (XLA semantics: starts are clamped).
func (b *builder) Gather(operand, indices backends.Op, vectorAxis int, offset, collapsed, start, sizes []int,
	sorted bool) (backends.Op, error) {
	in, err := b.own(backends.OpTypeGather, operand, indices)
	if err != nil {
		return nil, err
	}
	shape, err := shapeinference.Gather(in[0].shape, in[1].shape, vectorAxis, offset, collapsed, start, sizes, sorted)
	if err != nil {
		return nil, err
	}
	return b.add(backends.OpTypeGather, shape, gatherSpec{
		vectorAxis: vectorAxis,
		offset:     slices.Clone(offset),
		collapsed:  slices.Clone(collapsed),
		start:      slices.Clone(start),
		len:        slices.Clone(sizes),
	}, in...)
}

// ScatterSum adds updates to the operand at indices; updates outside are left out.
func (b *builder) ScatterSum(operand, indices, updates backends.Op, vectorAxis int, window, inserted, target []int,
	_, _ bool) (backends.Op, error) {
	in, err := b.own(backends.OpTypeScatterSum, operand, indices, updates)
	if err != nil {
		return nil, err
	}
	shape, err := shapeinference.ScatterOp(in[0].shape, in[1].shape, in[2].shape, vectorAxis, window, inserted, target)
	if err != nil {
		return nil, err
	}
	return b.add(backends.OpTypeScatterSum, shape, scatterSpec{
		vectorAxis: vectorAxis,
		window:     slices.Clone(window),
		inserted:   slices.Clone(inserted),
		target:     slices.Clone(target),
	}, in...)
}
