package cpu

import "github.com/gomlx/gomlx/pkg/core/dtypes"

// compiler is what the passes know of a graph and of the executable that they make of it.
//
// The nodes are divided into groups, which are numbered by level: a group reads values of its own and of lower levels only. A group of an
// even level works on whole values: one operation after the other, each on all threads. A group of an odd level is tiled: its values fall
// into equal tiles along the first axis (the rows of a batch), and one thread takes a tile through all operations of the group, so that
// a value that is used only there never leaves the nearest caches.
type compiler struct {
	dev      *device
	nodes    []*node // each after its operands
	outputs  []*node
	users    [][]*node // of each node, by its number, as are the following
	isOutput []bool
	kinds    []kind
	level    []int
	values   []*value // whole; nil until the group is lowered, and for what no other group reads
	tiles    int      // of every tiled group; 1: there is none
	schedule []step
	storages []*storage
	packed   map[packKey]*storage // right operands that tiled groups share
	sizes    *workerSizes
}

// packKey tells packed right operands of matrix products apart.
type packKey struct {
	st                  *storage
	off, row, col, n, k int
}

// setNodes replaces the nodes and fills what is looked up by a node's number.
func (c *compiler) setNodes(nodes []*node) {
	c.nodes = nodes
	c.users = make([][]*node, len(nodes))
	c.kinds = make([]kind, len(nodes))
	c.isOutput = make([]bool, len(nodes))
	for _, n := range nodes {
		c.kinds[n.idx] = kindOf(n)
		for _, m := range n.inputs {
			if u := c.users[m.idx]; len(u) == 0 || u[len(u)-1] != n {
				c.users[m.idx] = append(u, n)
			}
		}
	}
	for _, n := range c.outputs {
		c.isOutput[n.idx] = true
	}
}

// storage makes memory that the next step of the schedule writes first.
func (c *compiler) storage(dt dtypes.DType, n int) *storage {
	st := &storage{dt: dt, n: n, first: len(c.schedule), last: len(c.schedule)}
	c.storages = append(c.storages, st)
	return st
}

// touch notes that the next step of the schedule reads or writes the value.
func (c *compiler) touch(v *value) { v.st.last = max(v.st.last, len(c.schedule)) }
