package cpu

import (
	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/pkg/core/dtypes"
)

// capabilities lists the operations and data types that the builder accepts.
var capabilities = backends.Capabilities{
	Operations: map[backends.OpType]bool{},
	DTypes: map[dtypes.DType]bool{
		dtypes.Float32: true, dtypes.Float64: true, dtypes.BFloat16: true,
		dtypes.Int32: true, dtypes.Int64: true, dtypes.Uint32: true, dtypes.Uint8: true, dtypes.Bool: true,
	},
}

func init() {
	for _, op := range []backends.OpType{
		backends.OpTypeParameter, backends.OpTypeConstant, backends.OpTypeIdentity, backends.OpTypeIota,
		backends.OpTypeReshape, backends.OpTypeTranspose, backends.OpTypeBroadcastInDim, backends.OpTypeSlice,
		backends.OpTypeReverse, backends.OpTypeConcatenate, backends.OpTypePad, backends.OpTypeWhere,
		backends.OpTypeConvertDType, backends.OpTypeDot, backends.OpTypeDotGeneral, backends.OpTypeGather,
		backends.OpTypeScatterSum, backends.OpTypeArgMinMax, backends.OpTypeClamp, backends.OpTypeLogicalNot,
		backends.OpTypeIsFinite, backends.OpTypeIsNaN,
	} {
		capabilities.Operations[op] = true
	}
	for op := range unaryFloat {
		capabilities.Operations[op] = true
	}
	for op := range binaryKernels[float64]() {
		capabilities.Operations[op] = true
	}
	for op := range compareKernels[float64]() {
		capabilities.Operations[op] = true
	}
	for op := range reducers[float64]() {
		capabilities.Operations[op] = true
	}
}
