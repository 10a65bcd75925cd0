package cpu

import (
	"slices"

	"github.com/gomlx/gomlx/backends"
)

// compile runs the passes in their order; doc.go shows them.
func compile(dev *device, g *graph, outputs []*node) *executable {
	c := &compiler{dev: dev, packed: map[packKey]*storage{}, sizes: &workerSizes{}}
	c.eliminate(g, outputs)
	c.partition()
	c.rematerialise()
	parameters := c.leaves(len(g.params))
	for level := range slices.Max(append(c.level, 0)) + 1 {
		c.lowerGroup(level)
	}
	var results []*storage
	for _, n := range c.outputs {
		results = append(results, c.resultStorage(n))
	}
	inArena, lines := c.assignBuffers()
	return &executable{
		dev:               dev,
		name:              g.name,
		names:             g.paramNames,
		paramShapes:       nodeShapes(g.params),
		resultShapes:      nodeShapes(outputs),
		schedule:          c.schedule,
		parameterStorages: parameters,
		resultStorages:    results,
		arenaStorages:     inArena,
		arenaLines:        lines,
		sizes:             c.sizes,
	}
}

// leaves gives parameters and constants their values. It returns the storages of all parameters, nil for one that no output needs.
func (c *compiler) leaves(parameters int) []*storage {
	storages := make([]*storage, parameters)
	c.values = make([]*value, len(c.nodes))
	for _, n := range c.nodes {
		switch n.op {
		case backends.OpTypeParameter:
			st := &storage{dt: n.shape.DType, n: n.shape.Size(), space: inParameter}
			storages[n.data.(int)] = st
			c.values[n.idx] = dense(st, n.shape.Dimensions)
		case backends.OpTypeConstant:
			c.values[n.idx] = dense(n.data.(*storage), n.shape.Dimensions)
		}
	}
	return storages
}

// resultStorage returns the storage of an output. An output that shares its memory with another value is copied to memory of its own.
func (c *compiler) resultStorage(n *node) *storage {
	v := c.values[n.idx]
	if v.st.space == inArena && v.off == 0 && v.st.n == v.size() && v.contiguous() {
		v.st.space = inResult
		return v.st
	}
	st := c.storage(n.shape.DType, n.shape.Size())
	st.space = inResult
	g := &group{c: c, tiles: 1}
	g.copyTo(n, dense(st, n.shape.Dimensions), v)
	return st
}
