package cpu

import (
	"fmt"
	"slices"

	"github.com/gomlx/gomlx/backends"
)

// eliminate copies the nodes that the outputs need from the graph: dead code and operations without effect are left out, and common
// subexpressions are kept once.
func (c *compiler) eliminate(g *graph, outputs []*node) {
	live := liveNodes(g, outputs)
	replacement := make([]*node, len(g.nodes)) // by the node's number in the graph
	known := map[string]*node{}                // by expression
	var nodes []*node
	for i, n := range g.nodes {
		if !live[i] {
			continue
		}
		in := make([]*node, len(n.inputs))
		for j, m := range n.inputs {
			in[j] = replacement[m.idx]
		}
		if isNoOp(n, in) {
			replacement[i] = in[0]
			continue
		}
		key := expression(n, in)
		if known[key] == nil {
			known[key] = &node{idx: len(nodes), op: n.op, shape: n.shape, inputs: in, data: n.data}
			nodes = append(nodes, known[key])
		}
		replacement[i] = known[key]
	}
	for _, n := range outputs {
		c.outputs = append(c.outputs, replacement[n.idx])
	}
	c.setNodes(nodes)
}

// liveNodes marks the nodes that the outputs need.
func liveNodes(g *graph, outputs []*node) []bool {
	live := make([]bool, len(g.nodes))
	for _, n := range outputs {
		live[n.idx] = true
	}
	for i, n := range slices.Backward(g.nodes) {
		if live[i] {
			for _, m := range n.inputs {
				live[m.idx] = true
			}
		}
	}
	return live
}

// isNoOp reports whether a node's result is its operand: an identity, or a conversion to the shape and type that the operand has.
func isNoOp(n *node, in []*node) bool {
	switch n.op {
	case backends.OpTypeIdentity:
		return true
	case backends.OpTypeReshape, backends.OpTypeBroadcastInDim, backends.OpTypeConvertDType:
		return in[0].shape.Equal(n.shape) && !n.shape.IsScalar()
	}
	return false
}

// expression is equal for nodes that compute the same: by operation, shape, attributes and operands. Large constants are compared by
// their memory.
func expression(n *node, in []*node) string {
	key := fmt.Sprint(n.op, n.shape, n.data)
	if st, ok := n.data.(*storage); ok {
		key = fmt.Sprintf("constant %p", st)
		if st.n <= 16 {
			key = fmt.Sprint("constant", n.shape, st.flat)
		}
	}
	for _, m := range in {
		key += fmt.Sprint(" ", m.idx)
	}
	return key
}
