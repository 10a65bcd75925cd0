package cpu

import (
	"slices"

	"github.com/gomlx/gomlx/backends"
)

// cheap lists what is computed again in a later region rather than kept in memory until then.
var cheap = []backends.OpType{
	backends.OpTypeAdd, backends.OpTypeSub, backends.OpTypeMul, backends.OpTypeDiv, backends.OpTypeMax, backends.OpTypeMin, backends.OpTypeNeg,
	backends.OpTypeAbs, backends.OpTypeSqrt, backends.OpTypeExp, backends.OpTypeLogistic, backends.OpTypeWhere, backends.OpTypeConvertDType,
}

type againKey struct {
	n     *node
	level int
}

// again gives later regions their own copies of elementwise operations whose operands they have anyway: of a gated MLP only the two
// products then wait for the gradient, not what was computed of them.
func (c *compiler) again() {
	if c.tiles == 1 {
		return
	}
	level := map[*node]int{}
	for _, n := range c.nodes {
		level[n] = c.level[n.idx]
	}
	made := map[againKey]*node{}
	var nodes []*node
	var want func(m *node, l int) *node
	want = func(m *node, l int) *node {
		if level[m]%2 == 0 || level[m] >= l {
			return m
		}
		if n := made[againKey{m, l}]; n != nil {
			return n
		}
		made[againKey{m, l}] = m
		k := kindOf(m)
		if k != view && (k != chained || !slices.Contains(cheap, m.op)) {
			return m
		}
		in := make([]*node, len(m.inputs))
		changed := false
		for i, x := range m.inputs {
			in[i] = want(x, l)
			changed = changed || in[i] != x
			if k == chained && in[i] == x && level[x]%2 == 1 && !c.keptFor(x, m, l) {
				return m
			}
		}
		if k == view && !changed {
			return m
		}
		n := &node{idx: -1, op: m.op, shape: m.shape, inputs: in, data: m.data}
		level[n] = l
		made[againKey{m, l}] = n
		nodes = append(nodes, n)
		return n
	}
	for _, n := range c.nodes {
		l := level[n]
		if l%2 == 0 && l > 0 {
			l--
		}
		if l > 0 {
			for i, m := range n.inputs {
				if level[m]%2 == 1 && level[m] < l {
					n.inputs[i] = want(m, l)
				}
			}
		}
		nodes = append(nodes, n)
	}
	c.nodes, c.level = nodes, make([]int, len(nodes))
	for i, n := range nodes {
		n.idx = i
		c.level[i] = level[n]
	}
	c.index()
}

// keptFor says whether a value is read at a level or later, other than by one node.
// A view's memory is kept where that of its source is.
func (c *compiler) keptFor(x, but *node, level int) bool {
	for {
		if x.idx < 0 { // a copy made here, which lives in its region alone
			return false
		}
		if c.readFrom(x, but, level) {
			return true
		}
		if c.kinds[x.idx] != view || x.inputs[0] == but {
			return false
		}
		x, but = x.inputs[0], x
	}
}

// readFrom says whether a value, or a view of it, is read at a level or later, other than by one node.
func (c *compiler) readFrom(x, but *node, level int) bool {
	for _, u := range c.users[x.idx] {
		if u == but {
			continue
		}
		if c.level[u.idx] >= level && (c.kinds[u.idx] != view || len(c.users[u.idx]) > 0) {
			return true
		}
		if c.kinds[u.idx] == view && c.readFrom(u, but, level) {
			return true
		}
	}
	return false
}
