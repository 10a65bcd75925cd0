package cpu

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/backends/notimplemented"
	"github.com/gomlx/gomlx/pkg/core/dtypes"
	"github.com/gomlx/gomlx/pkg/core/shapes"
)

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

// node is one operation; data holds its attributes.
type node struct {
	b      *builder
	idx    int
	op     backends.OpType
	shape  shapes.Shape
	inputs []*node
	data   any
}

type builder struct {
	notimplemented.Builder
	name    string
	backend *Backend
	nodes   []*node
	params  []*node
	names   []string
}

var _ backends.Builder = (*builder)(nil)

func newBuilder(b *Backend, name string) *builder {
	return &builder{name: name, backend: b, Builder: notimplemented.Builder{ErrFn: func(op backends.OpType) error {
		return fmt.Errorf("backend cpu: operation %s is not supported; use backend go or xla: %w", op, notimplemented.NotImplementedError)
	}}}
}

// Name returns the graph's name.
func (b *builder) Name() string { return b.name }

// OpShape returns the shape of an operation's result.
func (b *builder) OpShape(op backends.Op) (shapes.Shape, error) {
	in, err := b.own(backends.OpTypeInvalid, op)
	if err != nil {
		return shapes.Invalid(), err
	}
	return in[0].shape, nil
}

func (b *builder) own(op backends.OpType, ops ...backends.Op) ([]*node, error) {
	in := make([]*node, len(ops))
	for i, o := range ops {
		n, ok := o.(*node)
		if !ok || n == nil || n.b != b {
			return nil, fmt.Errorf("backend cpu: %s: operand %d is not of this graph", op, i)
		}
		in[i] = n
	}
	return in, nil
}

func (b *builder) add(op backends.OpType, shape shapes.Shape, data any, in ...*node) (backends.Op, error) {
	if !capabilities.DTypes[shape.DType] {
		return nil, fmt.Errorf("backend cpu: %s: data type %s is not supported", op, shape.DType)
	}
	n := &node{b: b, idx: len(b.nodes), op: op, shape: shape.Clone(), inputs: slices.Clone(in), data: data}
	b.nodes = append(b.nodes, n)
	return n, nil
}

// Parameter adds an input of the graph.
func (b *builder) Parameter(name string, shape shapes.Shape, sharding *backends.ShardingSpec) (backends.Op, error) {
	if sharding != nil {
		return nil, fmt.Errorf("backend cpu: parameter %q: sharding is not supported", name)
	}
	op, err := b.add(backends.OpTypeParameter, shape, len(b.params))
	if err != nil {
		return nil, fmt.Errorf("parameter %q: %w", name, err)
	}
	b.params, b.names = append(b.params, op.(*node)), append(b.names, name)
	return op, nil
}

// Constant adds a copy of flat, a slice.
func (b *builder) Constant(flat any, dims ...int) (backends.Op, error) {
	v := reflect.ValueOf(flat)
	if v.Kind() != reflect.Slice {
		return nil, fmt.Errorf("backend cpu: constant of %T: a slice is needed", flat)
	}
	shape := shapes.Make(dtypes.FromGoType(v.Type().Elem()), dims...)
	if !capabilities.DTypes[shape.DType] || v.Len() != shape.Size() {
		return nil, fmt.Errorf("backend cpu: constant %T of %d values does not make %s", flat, v.Len(), shape)
	}
	own := newFlat(shape.DType, v.Len())
	if err := copyFlat(own, flat); err != nil {
		return nil, err
	}
	return b.add(backends.OpTypeConstant, shape, &storage{flat: own, dt: shape.DType, n: v.Len(), place: fixed})
}

// Compile plans the execution of what the outputs need.
func (b *builder) Compile(outputs []backends.Op, shardings []*backends.ShardingSpec) (backends.Executable, error) {
	if len(shardings) != 0 {
		return nil, fmt.Errorf("backend cpu: compile %q: sharding is not supported", b.name)
	}
	outs, err := b.own(backends.OpTypeInvalid, outputs...)
	if err != nil {
		return nil, err
	}
	return compile(b, outs), nil
}
