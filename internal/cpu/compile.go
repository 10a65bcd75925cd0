package cpu

import (
	"fmt"
	"slices"

	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/pkg/core/dtypes"
	"github.com/gomlx/gomlx/pkg/core/shapes"
)

// kind says how a node is computed.
type kind uint8

const (
	leaf    kind = iota // parameter or constant
	view                // other strides on the operand's memory
	chained             // one step of an elementwise chain over float32, bfloat16 and booleans
	folded              // a reduction of the last axis at the end of a chain
	dotted              // a matrix product
	other               // a loop of its own over whole values
)

// op is one entry of a plan; tile counts within a region and is 0 elsewhere.
type op struct {
	n   *node
	run func(w *worker, tile int)
}

// compiler makes a plan of a graph. Everything that depends on the graph alone is decided here: the order, the strides of every
// operand, what is fused with what, where each value lies.
//
// The nodes are divided into groups. A group of whole values computes one operation after the other, each on all threads. A region
// computes values that fall into equal tiles along the first axis (the rows of a batch) tile by tile: one thread takes a tile through
// all operations of the region, so that what is used only there never leaves the nearest caches. Neither depends on the number of
// threads, so the results do not either.
type compiler struct {
	b        *Backend
	nodes    []*node
	users    [][]*node
	outputs  []*node
	isOutput []bool
	kinds    []kind
	tiles    int   // of every region
	level    []int // group of each node; even: whole values, odd: a region
	full     []*value
	main     []op
	storages []*storage
	packs    map[packKey]*storage
	needs    *needs
}

func compile(b *builder, outputs []*node) *executable {
	c := &compiler{b: b.backend, packs: map[packKey]*storage{}, needs: &needs{}}
	c.canonical(b, outputs)
	c.divide()
	c.again()
	c.full = make([]*value, len(c.nodes))
	x := &executable{b: b.backend, name: b.name, params: b.params, names: b.names, outputs: outputs, needs: c.needs}
	x.bound = make([]*storage, len(b.params))
	for _, n := range c.nodes {
		switch n.op {
		case backends.OpTypeParameter:
			st := &storage{dt: n.shape.DType, n: n.shape.Size(), place: bound}
			x.bound[n.data.(int)] = st
			c.full[n.idx] = dense(st, n.shape.Dimensions)
		case backends.OpTypeConstant:
			c.full[n.idx] = dense(n.data.(*storage), n.shape.Dimensions)
		}
	}
	for level := range slices.Max(append(c.level, 0)) + 1 {
		c.group(level)
	}
	for _, n := range c.outputs {
		x.results = append(x.results, c.result(n))
	}
	x.main, x.lines = c.main, c.place()
	for _, st := range c.storages {
		if st.place == inArena {
			x.planned = append(x.planned, st)
		}
	}
	return x
}

// canonical copies the nodes that the outputs need, equal ones once, operations without effect not at all.
func (c *compiler) canonical(b *builder, outputs []*node) {
	needed := make([]bool, len(b.nodes))
	for _, n := range outputs {
		needed[n.idx] = true
	}
	for i := len(b.nodes) - 1; i >= 0; i-- {
		if needed[i] {
			for _, in := range b.nodes[i].inputs {
				needed[in.idx] = true
			}
		}
	}
	as := make([]*node, len(b.nodes))
	known := map[string]*node{}
	for i, n := range b.nodes {
		if !needed[i] {
			continue
		}
		in := make([]*node, len(n.inputs))
		for j, m := range n.inputs {
			in[j] = as[m.idx]
		}
		if len(in) == 1 && in[0].shape.Equal(n.shape) && !in[0].shape.IsScalar() &&
			slices.Contains([]backends.OpType{backends.OpTypeReshape, backends.OpTypeBroadcastInDim, backends.OpTypeConvertDType}, n.op) || n.op == backends.OpTypeIdentity {
			as[i] = in[0]
			continue
		}
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
		if as[i] = known[key]; as[i] != nil {
			continue
		}
		as[i] = &node{idx: len(c.nodes), op: n.op, shape: n.shape, inputs: in, data: n.data}
		known[key] = as[i]
		c.nodes = append(c.nodes, as[i])
	}
	for _, n := range outputs {
		c.outputs = append(c.outputs, as[n.idx])
	}
	c.index()
}

// index fills what is looked up by a node's number.
func (c *compiler) index() {
	c.users, c.isOutput, c.kinds = make([][]*node, len(c.nodes)), make([]bool, len(c.nodes)), make([]kind, len(c.nodes))
	for _, n := range c.nodes {
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

func chainable(dt dtypes.DType) bool {
	return dt == dtypes.Float32 || dt == dtypes.BFloat16 || dt == dtypes.Bool
}

func kindOf(n *node) kind {
	switch n.op {
	case backends.OpTypeParameter, backends.OpTypeConstant:
		return leaf
	case backends.OpTypeReshape, backends.OpTypeTranspose, backends.OpTypeBroadcastInDim, backends.OpTypeSlice, backends.OpTypeReverse:
		return view
	case backends.OpTypeDotGeneral:
		return dotted
	}
	if !chainable(n.shape.DType) || len(n.inputs) == 0 || n.shape.Size() == 0 {
		return other
	}
	for _, m := range n.inputs {
		if !chainable(m.shape.DType) || m.shape.Size() == 0 {
			return other
		}
	}
	switch n.op {
	case backends.OpTypeReduceSum, backends.OpTypeReduceMax:
		in, axes := n.inputs[0].shape, n.data.([]int)
		if last := in.Rank() - 1; len(axes) == 1 && (axes[0] == last || axes[0] == -1) && in.Dimensions[last] > 1 && in.Dimensions[last] <= maxFold && n.shape.DType != dtypes.Bool {
			return folded
		}
		return other
	}
	if chainStep(n) != nil {
		return chained
	}
	return other
}

func dense(st *storage, dims []int) *value {
	return &value{st: st, dims: dims, strides: denseStrides(dims)}
}

// touch notes that the next operation reads or writes the value.
func (c *compiler) touch(v *value) { v.st.last = max(v.st.last, len(c.main)) }

func (c *compiler) storage(dt dtypes.DType, n int) *storage {
	st := &storage{dt: dt, n: n, first: len(c.main), last: len(c.main)}
	c.storages = append(c.storages, st)
	return st
}

// result gives an output memory of its own, where it does not have that already.
func (c *compiler) result(n *node) *storage {
	v := c.full[n.idx]
	if v.st.place == inArena && v.off == 0 && v.st.n == v.size() && v.contiguous() {
		v.st.place = returned
		return v.st
	}
	st := c.storage(n.shape.DType, n.shape.Size())
	st.place = returned
	g := &group{c: c, tiles: 1}
	g.copyTo(n, dense(st, n.shape.Dimensions), v)
	return st
}

// place lays the arena out, first the large values, each as low as what lives at the same time allows. It returns the lines taken.
func (c *compiler) place() int {
	var all []*storage
	for _, st := range c.storages {
		if st.place == inArena {
			all = append(all, st)
		}
	}
	return layOut(all)
}

func (st *storage) lines() int {
	size := st.dt.Size()
	if st.place == inWorker && st.dt == dtypes.Bool {
		size = 4
	}
	return (st.n*size + 63) / 64
}

func layOut(all []*storage) (top int) {
	order := slices.Clone(all)
	slices.SortStableFunc(order, func(a, b *storage) int { return b.lines() - a.lines() })
	var placed []*storage // by place
	for _, st := range order {
		at := 0
		for _, p := range placed {
			if p.first <= st.last && st.first <= p.last {
				if p.at >= at+st.lines() {
					break
				}
				at = max(at, p.at+p.lines())
			}
		}
		st.at = at
		i, _ := slices.BinarySearchFunc(placed, at, func(p *storage, at int) int { return p.at - at })
		placed = slices.Insert(placed, i, st)
		top = max(top, at+st.lines())
	}
	return top
}

func nodeShapes(nodes []*node) []shapes.Shape {
	s := make([]shapes.Shape, len(nodes))
	for i, n := range nodes {
		s[i] = n.shape
	}
	return s
}
