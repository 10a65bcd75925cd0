package trm

import (
	"sync"

	. "github.com/gomlx/gomlx/pkg/core/graph" //nolint:staticcheck // graphs read as formulas
	"github.com/gomlx/gomlx/pkg/core/shapes"
)

// GoMLX derives a DotGeneral by broadcasting and summing, and a Slice by Pad,
// which not every backend has. Nodes made here remember what they are, and the
// public VJPRegistration then gives them gradients made of products and
// concatenations. Nodes made elsewhere keep GoMLX's gradients.

type dotSpec struct {
	batch  int  // leading batch axes of both sides
	aT, bT bool // a is [..., k, m] instead of [..., m, k]; b is [..., k, n] instead of [..., n, k]
}

type sliceSpec struct{ axis, from, to int }

var notes sync.Map // *Node -> dotSpec or sliceSpec, while a graph is built

var register = sync.OnceFunc(func() {
	dot, slice := VJPRegistration[NodeTypeDotGeneral], VJPRegistration[NodeTypeSlice]
	VJPRegistration[NodeTypeDotGeneral] = func(n *Node, v []*Node, s shapes.Shape) []*Node {
		if note, ok := notes.Load(n); ok {
			return note.(dotSpec).vjp(n, v[0])
		}
		return dot(n, v, s)
	}
	VJPRegistration[NodeTypeSlice] = func(n *Node, v []*Node, s shapes.Shape) []*Node {
		if note, ok := notes.Load(n); ok {
			return note.(sliceSpec).vjp(n, v[0])
		}
		return slice(n, v, s)
	}
})

// forget drops the notes of a graph that is built.
func forget(g *Graph) {
	for _, n := range g.Nodes() {
		notes.Delete(n)
	}
}

// matmul is a·bᵀ over the last two axes: [..., m, k] x [..., n, k] -> [..., m, n].
func matmul(a, b *Node) *Node { return dotSpec{batch: a.Rank() - 2}.apply(a, b) }

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
	notes.Store(out, d)
	return out
}

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
	notes.Store(out, sliceSpec{axis, from, to})
	return out
}

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
