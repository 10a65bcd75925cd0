package cpu

import (
	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/pkg/core/dtypes"
)

// kind says how a node is computed.
type kind uint8

const (
	leaf              kind = iota // parameter or constant
	view                          // other strides on the operand's memory
	elementwise                   // an instruction of a fused loop
	reductionEpilogue             // a reduction of the last axis at the end of a fused loop
	matrixProduct                 // a matrix product
	standalone                    // a loop of its own over whole values
)

// inLoop reports whether fused loops compute nodes of a kind.
func (k kind) inLoop() bool { return k == elementwise || k == reductionEpilogue }

// maxReducedAxis is the longest axis that a fused loop reduces: a row must fit into a slot.
const maxReducedAxis = 8192

// fusible reports whether fused loops compute with a data type.
func fusible(dt dtypes.DType) bool {
	return dt == dtypes.Float32 || dt == dtypes.BFloat16 || dt == dtypes.Bool
}

func kindOf(n *node) kind {
	switch n.op {
	case backends.OpTypeParameter, backends.OpTypeConstant:
		return leaf
	case backends.OpTypeReshape, backends.OpTypeTranspose, backends.OpTypeBroadcastInDim, backends.OpTypeSlice, backends.OpTypeReverse:
		return view
	case backends.OpTypeDotGeneral:
		return matrixProduct
	}
	if !fusible(n.shape.DType) || len(n.inputs) == 0 || n.shape.Size() == 0 {
		return standalone
	}
	for _, m := range n.inputs {
		if !fusible(m.shape.DType) || m.shape.Size() == 0 {
			return standalone
		}
	}
	switch n.op {
	case backends.OpTypeReduceSum, backends.OpTypeReduceMax:
		if reducesLastAxis(n) {
			return reductionEpilogue
		}
		return standalone
	}
	if elementwiseInstruction(n) != nil {
		return elementwise
	}
	return standalone
}

// reducesLastAxis reports whether a reduction is one of numbers, over the last axis alone, that a fused loop can do.
func reducesLastAxis(n *node) bool {
	in, axes := n.inputs[0].shape, n.data.([]int)
	last := in.Rank() - 1
	if n.shape.DType == dtypes.Bool || len(axes) != 1 {
		return false
	}
	if axes[0] != last && axes[0] != -1 {
		return false
	}
	return in.Dimensions[last] > 1 && in.Dimensions[last] <= maxReducedAxis
}
