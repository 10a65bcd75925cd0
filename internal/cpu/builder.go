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

// builder makes a graph for a device. The operations are in builder_ops.go and builder_elementwise.go.
type builder struct {
	notimplemented.Builder
	graph graph
	dev   *device
}

var _ backends.Builder = (*builder)(nil)

func newBuilder(dev *device, name string) *builder {
	refuse := func(op backends.OpType) error {
		return fmt.Errorf("backend cpu: operation %s is not supported; use backend go or xla: %w", op, notimplemented.NotImplementedError)
	}
	return &builder{graph: graph{name: name}, dev: dev, Builder: notimplemented.Builder{ErrFn: refuse}}
}

// Name returns the graph's name.
func (b *builder) Name() string { return b.graph.name }

// OpShape returns the shape of an operation's result.
func (b *builder) OpShape(op backends.Op) (shapes.Shape, error) {
	in, err := b.own(backends.OpTypeInvalid, op)
	if err != nil {
		return shapes.Invalid(), err
	}
	return in[0].shape, nil
}

// own checks that operands are nodes of this graph.
func (b *builder) own(op backends.OpType, ops ...backends.Op) ([]*node, error) {
	in := make([]*node, len(ops))
	for i, o := range ops {
		n, ok := o.(*node)
		if !ok || n == nil || n.g != &b.graph {
			return nil, fmt.Errorf("backend cpu: %s: operand %d is not of this graph", op, i)
		}
		in[i] = n
	}
	return in, nil
}

// add adds a node.
func (b *builder) add(op backends.OpType, shape shapes.Shape, data any, in ...*node) (backends.Op, error) {
	if !capabilities.DTypes[shape.DType] {
		return nil, fmt.Errorf("backend cpu: %s: data type %s is not supported", op, shape.DType)
	}
	n := &node{g: &b.graph, idx: len(b.graph.nodes), op: op, shape: shape.Clone(), inputs: slices.Clone(in), data: data}
	b.graph.nodes = append(b.graph.nodes, n)
	return n, nil
}

// Parameter adds an input of the graph.
func (b *builder) Parameter(name string, shape shapes.Shape, sharding *backends.ShardingSpec) (backends.Op, error) {
	if sharding != nil {
		return nil, fmt.Errorf("backend cpu: parameter %q: sharding is not supported", name)
	}
	op, err := b.add(backends.OpTypeParameter, shape, len(b.graph.params))
	if err != nil {
		return nil, fmt.Errorf("parameter %q: %w", name, err)
	}
	b.graph.params = append(b.graph.params, op.(*node))
	b.graph.paramNames = append(b.graph.paramNames, name)
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
	return b.add(backends.OpTypeConstant, shape, &storage{flat: own, dt: shape.DType, n: v.Len(), space: inConstant})
}

// Compile compiles what the outputs need.
func (b *builder) Compile(outputs []backends.Op, shardings []*backends.ShardingSpec) (backends.Executable, error) {
	if len(shardings) != 0 {
		return nil, fmt.Errorf("backend cpu: compile %q: sharding is not supported", b.graph.name)
	}
	outs, err := b.own(backends.OpTypeInvalid, outputs...)
	if err != nil {
		return nil, err
	}
	return compile(b.dev, &b.graph, outs), nil
}
