package cpu

import (
	"slices"

	"github.com/gomlx/gomlx/backends"
)

// cheap lists the operations that are computed again in a later tiled group rather than kept in memory until then.
var cheap = []backends.OpType{
	backends.OpTypeAdd, backends.OpTypeSub, backends.OpTypeMul, backends.OpTypeDiv, backends.OpTypeMax, backends.OpTypeMin, backends.OpTypeNeg,
	backends.OpTypeAbs, backends.OpTypeSqrt, backends.OpTypeExp, backends.OpTypeLogistic, backends.OpTypeWhere, backends.OpTypeConvertDType,
}

// rematerialisation is one run of the pass.
type rematerialisation struct {
	c      *compiler
	level  map[*node]int         // also of the copies
	copies map[copyAtLevel]*node // a node itself stands for "not copied"
	nodes  []*node               // the new order
}

type copyAtLevel struct {
	n     *node
	level int
}

// rematerialise gives later tiled groups their own copies of cheap operations whose operands are kept for them anyway. Of a SwiGLU, for
// example, only the two matrix products are then kept for the gradient, not what is computed from them.
func (c *compiler) rematerialise() {
	if c.tiles == 1 {
		return
	}
	r := &rematerialisation{c: c, level: map[*node]int{}, copies: map[copyAtLevel]*node{}}
	for _, n := range c.nodes {
		r.level[n] = c.level[n.idx]
	}
	for _, n := range c.nodes {
		level := r.level[n]
		if level > 0 && !isTiled(level) {
			level-- // a whole value reads what the tiled group before it leaves
		}
		for i, m := range n.inputs {
			if isTiled(r.level[m]) && r.level[m] < level {
				n.inputs[i] = r.at(m, level)
			}
		}
		r.nodes = append(r.nodes, n)
	}
	c.level = make([]int, len(r.nodes))
	for i, n := range r.nodes {
		n.idx = i
		c.level[i] = r.level[n]
	}
	c.setNodes(r.nodes)
}

// at returns a copy of a node at a later level, or the node itself if a copy is not possible or saves nothing.
func (r *rematerialisation) at(n *node, level int) *node {
	if !isTiled(r.level[n]) || r.level[n] >= level {
		return n
	}
	key := copyAtLevel{n, level}
	if known := r.copies[key]; known != nil {
		return known
	}
	r.copies[key] = n
	kind := kindOf(n)
	isCheap := kind == elementwise && slices.Contains(cheap, n.op)
	if kind != view && !isCheap {
		return n
	}
	in := make([]*node, len(n.inputs))
	for i, m := range n.inputs {
		in[i] = r.at(m, level)
		kept := in[i] == m && isTiled(r.level[m])
		if kind == elementwise && kept && !r.c.liveAt(m, n, level) {
			return n // this operand would be kept in place of the node
		}
	}
	if kind == view && slices.Equal(in, n.inputs) {
		return n
	}
	copied := &node{idx: -1, op: n.op, shape: n.shape, inputs: in, data: n.data}
	r.level[copied] = level
	r.copies[key] = copied
	r.nodes = append(r.nodes, copied)
	return copied
}

// liveAt reports whether a value is read at a level or later by a node other than one. The memory of a view is kept if that of its source
// is.
func (c *compiler) liveAt(n, except *node, level int) bool {
	for {
		if n.idx < 0 { // a copy made by this pass, which lives in its own group alone
			return false
		}
		if c.usedFrom(n, except, level) {
			return true
		}
		if c.kinds[n.idx] != view || n.inputs[0] == except {
			return false
		}
		n, except = n.inputs[0], n
	}
}

// usedFrom reports whether a value, or a view of it, is read at a level or later by a node other than one.
func (c *compiler) usedFrom(n, except *node, level int) bool {
	for _, u := range c.users[n.idx] {
		if u == except {
			continue
		}
		unused := c.kinds[u.idx] == view && len(c.users[u.idx]) == 0
		if c.level[u.idx] >= level && !unused {
			return true
		}
		if c.kinds[u.idx] == view && c.usedFrom(u, except, level) {
			return true
		}
	}
	return false
}
