package cpu

import (
	"slices"

	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/pkg/core/shapes"
)

// graph is a computation as GoMLX builds it. Each node comes after its operands.
type graph struct {
	name       string
	nodes      []*node
	params     []*node
	paramNames []string
}

// node is one operation. data holds its attributes: a *storage for a constant, the number of a parameter, an axis, axes, or one of the
// specs below.
type node struct {
	g      *graph
	idx    int
	op     backends.OpType
	shape  shapes.Shape
	inputs []*node
	data   any
}

// sliceSpec has one entry per axis.
type sliceSpec struct{ starts, strides []int }

// argSpec belongs to ArgMinMax.
type argSpec struct {
	axis  int
	isMin bool
}

// dotSpec has the contracting and batch axes of a matrix product's left and right operand.
type dotSpec struct{ leftContract, leftBatch, rightContract, rightBatch []int }

// gatherSpec has the axes of XLA's Gather; len are the sizes of the slices.
type gatherSpec struct {
	vectorAxis                    int
	offset, collapsed, start, len []int
}

// scatterSpec has the axes of XLA's Scatter.
type scatterSpec struct {
	vectorAxis               int
	window, inserted, target []int
}

// freeAxes lists the axes that are in none of the lists.
func freeAxes(rank int, used ...[]int) []int {
	var free []int
	for a := range rank {
		if !slices.ContainsFunc(used, func(u []int) bool { return slices.Contains(u, a) }) {
			free = append(free, a)
		}
	}
	return free
}

func nodeShapes(nodes []*node) []shapes.Shape {
	s := make([]shapes.Shape, len(nodes))
	for i, n := range nodes {
		s[i] = n.shape
	}
	return s
}
