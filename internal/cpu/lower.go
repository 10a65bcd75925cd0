package cpu

import (
	"fmt"
	"slices"

	"github.com/gomlx/gomlx/backends"
)

// lowerGroup emits the steps of one level. Matrix products and standalone operations come in the order of the graph; elementwise nodes
// are lowered when one of those needs them, or at the end if only other groups do.
func (c *compiler) lowerGroup(level int) {
	g := newGroup(c, level)
	if len(g.nodes) == 0 {
		return
	}
	for _, n := range g.nodes {
		if k := c.kinds[n.idx]; k == matrixProduct || k == standalone {
			g.lower(n)
		}
	}
	for _, n := range g.nodes {
		if g.escapes[n] {
			g.lower(n)
			c.values[n.idx] = g.wholeValue(n, g.vals[n])
		}
	}
	if g.tiles > 1 {
		g.emitTileLoop()
	}
}

// lower emits the steps of a node that has no value yet, after those of its operands.
func (g *group) lower(n *node) {
	if g.vals[n] != nil {
		return
	}
	kind := g.c.kinds[n.idx]
	if kind.inLoop() {
		g.lowerFusion(n)
		return
	}
	for _, m := range n.inputs {
		if g.member(m) {
			g.lower(m)
		}
	}
	switch kind {
	case view:
		g.vals[n] = g.lowerView(n)
	case matrixProduct:
		g.vals[n] = g.lowerDot(n)
	case standalone:
		g.vals[n] = g.lowerStandalone(n)
	}
}

// lowerFusion emits a fused loop that computes root: with its elementwise producers, and with siblings that read the same operands.
// Lowering what the loop reads can lower root or some of the producers on the way, so the producers are collected again after that.
func (g *group) lowerFusion(root *node) {
	producers := g.producers(root)
	for missing := g.missingOperands(producers); len(missing) > 0; missing = g.missingOperands(producers) {
		for _, m := range missing {
			g.lower(m)
		}
		if g.vals[root] != nil {
			return
		}
		producers = g.producers(root)
	}
	g.addSiblings(producers, g.loopDims(root))
	nodes := inOrder(producers)
	for _, n := range nodes {
		for _, m := range n.inputs {
			if !producers[m] && g.member(m) {
				g.lower(m) // a view that a sibling reads
			}
		}
	}
	g.emitFusedLoop(nodes)
}

// lowerView makes a view of the operand's memory. A reshape that no strides express is copied.
func (g *group) lowerView(n *node) *value {
	in, dims := g.operand(n, 0), g.tileDims(n)
	out := in.part(in.off, dims, make([]int, len(dims)))
	switch n.op {
	case backends.OpTypeReshape:
		s, ok := reshaped(in.dims, in.strides, dims)
		if !ok {
			in = g.copyDense(n, in, g.escapes[n])
			return in.part(in.off, dims, denseStrides(dims))
		}
		out.strides = s
	case backends.OpTypeTranspose:
		for i, a := range n.data.([]int) {
			out.strides[i] = in.strides[a]
		}
	case backends.OpTypeBroadcastInDim:
		for i, a := range n.data.([]int) {
			if in.dims[i] != 1 {
				out.strides[a] = in.strides[i]
			}
		}
	case backends.OpTypeSlice:
		sp := n.data.(sliceSpec)
		for i := range dims {
			out.strides[i] = in.strides[i] * sp.strides[i]
			out.off += sp.starts[i] * in.strides[i]
		}
	case backends.OpTypeReverse:
		copy(out.strides, in.strides)
		for _, a := range n.data.([]int) {
			out.off += max(0, dims[a]-1) * out.strides[a]
			out.strides[a] = -out.strides[a]
		}
	}
	return out
}

// wholeValue turns the view of a tile into one of the whole value. If no strides express it, the tiles are copied to memory that has them.
func (g *group) wholeValue(n *node, v *value) *value {
	if g.tiles == 1 {
		return v
	}
	for {
		if v.st.space != inWorker {
			full := &value{st: v.st, off: v.off, dims: n.shape.Dimensions, strides: slices.Clone(v.strides)}
			if v.dims[0] == 1 {
				full.strides[0] = v.tileStride
			}
			if full.strides[0]*v.dims[0] == v.tileStride {
				return full
			}
		}
		v = g.copyDense(n, v, true)
	}
}

// emitTileLoop adds the one step that runs a tiled group, and assigns the memory of the values that live in a worker.
func (g *group) emitTileLoop() {
	c := g.c
	for _, st := range g.shared {
		st.last = max(st.last, len(c.schedule))
	}
	c.sizes.cover(workerSizes{lines: assignLines(g.locals)})
	loop := &tileLoop{steps: g.tileSchedule, workers: &c.dev.workers, sizes: c.sizes}
	c.schedule = append(c.schedule, step{g.nodes[0], func(*worker, int) { c.dev.pool.Run(g.tiles, 1, loop) }})
}

// lowerStandalone emits an operation that has a loop of its own.
func (g *group) lowerStandalone(n *node) *value {
	in := g.operands(n)
	switch n.op {
	case backends.OpTypeConcatenate:
		return g.concatenate(n, in)
	case backends.OpTypePad:
		return g.pad(n, in)
	case backends.OpTypeGather:
		return g.gather(n, in)
	case backends.OpTypeScatterSum:
		return g.scatter(n, in)
	case backends.OpTypeConvertDType:
		return g.convert(n, in)
	case backends.OpTypeIsFinite, backends.OpTypeIsNaN:
		return onClass(in[0].dt(), g, n, in, predicateLoop[float32], predicateLoop[float64], predicateLoop[int64])
	}
	class := n.shape.DType
	if len(in) > 0 {
		class = in[len(in)-1].dt()
	}
	return onClass(class, g, n, in, lowerInClass[float32], lowerInClass[float64], lowerInClass[int64])
}

// lowerInClass emits an operation that computes in class C.
func lowerInClass[C number](g *group, n *node, in []*value) *value {
	switch n.op {
	case backends.OpTypeIota:
		return iotaOf[C](g, n)
	case backends.OpTypeWhere:
		return whereLoop[C](g, n, in)
	case backends.OpTypeArgMinMax:
		return argMinMax[C](g, n, in[0])
	}
	if k := unaryKernel[C](n.op); k != nil {
		return elementwiseLoop(g, n, in, func(dst, a, _ []C) { k(dst, a) })
	}
	if k := binaryKernels[C]()[n.op]; k != nil {
		return elementwiseLoop(g, n, in, k)
	}
	if k := compareKernels[C]()[n.op]; k != nil {
		return compareLoop(g, n, in, func(dst []bool, a, b []C) {
			for i := range dst {
				dst[i] = k(a[i], b[i])
			}
		})
	}
	if k, ok := reducers[C]()[n.op]; ok {
		return reduce(g, n, in[0], k)
	}
	panic(fmt.Sprintf("no implementation for %s", n.shape.DType))
}
