package trm

import (
	"sync"

	. "github.com/gomlx/gomlx/pkg/core/graph" //nolint:staticcheck // graphs read as formulas
	"github.com/gomlx/gomlx/pkg/core/shapes"
)

// GoMLX's gradient (its VJP, vector-Jacobian product) of a matrix product broadcasts and sums, and its gradient of a slice is a Pad, which
// not every backend has. The products and slices that this package makes get other gradients, which are products and concatenations.
//
// GoMLX looks a gradient up by the kind of node, in its global table VJPRegistration. So registerVJPs replaces the entries of the two
// kinds, once per process, by functions that look the node itself up in customVJPs. A node that dotSpec.apply or sliceAxis made is there;
// any other node gets GoMLX's gradient. customVJPs is global because VJPRegistration is. It keeps a node only while its graph is built:
// forgetVJPs then takes the graph's nodes out.

// customVJPs has the dotSpec or sliceSpec of each *Node that has a gradient of this package.
var customVJPs sync.Map

// dotSpec is a matrix product of two operands a and b over their last two axes.
type dotSpec struct {
	batch  int  // the number of leading batch axes of both
	aT, bT bool // a is [..., k, m] instead of [..., m, k]; b is [..., k, n] instead of [..., n, k]
}

// sliceSpec is x[from:to] along one axis.
type sliceSpec struct{ axis, from, to int }

// registerVJPs makes GoMLX find the gradients of this package.
var registerVJPs = sync.OnceFunc(func() {
	dot, slice := VJPRegistration[NodeTypeDotGeneral], VJPRegistration[NodeTypeSlice]
	VJPRegistration[NodeTypeDotGeneral] = func(n *Node, v []*Node, s shapes.Shape) []*Node {
		if spec, ok := customVJPs.Load(n); ok {
			return spec.(dotSpec).vjp(n, v[0])
		}
		return dot(n, v, s)
	}
	VJPRegistration[NodeTypeSlice] = func(n *Node, v []*Node, s shapes.Shape) []*Node {
		if spec, ok := customVJPs.Load(n); ok {
			return spec.(sliceSpec).vjp(n, v[0])
		}
		return slice(n, v, s)
	}
})

// forgetVJPs drops the gradients of a graph's nodes once it is compiled.
func forgetVJPs(g *Graph) {
	for _, n := range g.Nodes() {
		customVJPs.Delete(n)
	}
}

// matmul is a·bᵀ over the last two axes: [..., m, k] x [..., n, k] -> [..., m, n].
func matmul(a, b *Node) *Node { return dotSpec{batch: a.Rank() - 2}.apply(a, b) }

// apply adds the product of a and b.
func (d dotSpec) apply(a, b *Node) *Node {
	batch := make([]int, d.batch)
	for i := range batch {
		batch[i] = i
	}
	axis := func(transposed bool) []int {
		if transposed {
			return []int{d.batch}
		}
		return []int{d.batch + 1}
	}
	out := DotGeneral(a, axis(d.aT), batch, b, axis(d.bT), batch)
	customVJPs.Store(out, d)
	return out
}

// vjp gives the gradients by the operands of a product n from that of its result, v.
func (d dotSpec) vjp(n, v *Node) []*Node {
	a, b := n.Inputs()[0], n.Inputs()[1]
	var da, db *Node
	if d.aT { // [k, m] = b·v over n
		da = dotSpec{d.batch, !d.bT, false}.apply(b, v)
	} else { // [m, k] = v·b over n
		da = dotSpec{d.batch, false, !d.bT}.apply(v, b)
	}
	if d.bT { // [k, n] = a·v over m
		db = dotSpec{d.batch, !d.aT, true}.apply(a, v)
	} else { // [n, k] = v·a over m
		db = dotSpec{d.batch, true, !d.aT}.apply(v, a)
	}
	return []*Node{da, db}
}

// sliceAxis is x[from:to] along one axis.
func sliceAxis(x *Node, axis, from, to int) *Node {
	if from == 0 && to == x.Shape().Dimensions[axis] {
		return x
	}
	specs := make([]SliceAxisSpec, x.Rank())
	for i := range specs {
		specs[i] = AxisRange()
	}
	specs[axis] = AxisRange(from, to)
	out := Slice(x, specs...)
	customVJPs.Store(out, sliceSpec{axis, from, to})
	return out
}

// vjp puts the gradient of the slice n, v, between zeros.
func (s sliceSpec) vjp(n, v *Node) []*Node {
	x := n.Inputs()[0]
	pad := func(size int) *Node {
		shape := v.Shape().Clone()
		shape.Dimensions[s.axis] = size
		return Zeros(v.Graph(), shape)
	}
	var parts []*Node
	if s.from > 0 {
		parts = append(parts, pad(s.from))
	}
	parts = append(parts, v)
	if rest := x.Shape().Dimensions[s.axis] - s.to; rest > 0 {
		parts = append(parts, pad(rest))
	}
	return []*Node{Concatenate(parts, s.axis)}
}
