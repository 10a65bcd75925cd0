package cpu

import (
	"slices"

	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/pkg/core/dtypes"

	"trmsweep/internal/cpu/kernel"
)

// maxFold is the longest axis that a chain reduces.
const maxFold = 8192

// chain is a run of elementwise operations over values of the same dimensions, done block by block in registers: slices of the worker's
// slots, which stay in the nearest cache, or of the operands' and results' own memory.
type chain struct {
	layout  // of all operands and results
	regs    []register
	prog    []instr
	slots   int
	span    int // elements of a slot
	perRow  int // pieces of a row where it is longer than a slot, else 0
	rowsPer int // rows of a piece where they are shorter
	pieces  int
	pool    *kernel.Pool
	workers *workers
	needs   *needs
}

// register is one value of a chain.
type register struct {
	v       *value // nil: a temporary
	operand int    // in the layout
	slot    int    // -1: the slice is v's own memory
	scalar  bool   // one element for the whole chain, spread over the slot once
	perRow  bool   // one element per row
}

// instr is one step; the function that is set says which kind.
type instr struct {
	load, store bool
	round       bool // the result is bfloat16
	fused       bool // several nodes at once
	unary       func(dst, a []float32)
	binary      func(dst, a, b []float32)
	scalar      func(dst, a []float32, s float32)
	choose      func(dst, on, a, b []float32)
	fold        func(a []float32) float32
	grad        func(dGate, dUp, dst, gate, up, dOut []float32) // to dst, more[0], more[1]
	negate      bool                                            // of the scalar
	dst         int
	more        [2]int
	src         [3]int
}

// chainStep finds how a node's operation runs over float32; nil where it does not.
func chainStep(n *node) *instr {
	fromBool := n.inputs[0].shape.DType == dtypes.Bool
	switch n.op {
	case backends.OpTypeWhere:
		if fromBool {
			return &instr{choose: kernel.Choose}
		}
	case backends.OpTypeConvertDType:
		if n.shape.DType == dtypes.Bool && !fromBool {
			return &instr{unary: notZero}
		}
		return &instr{unary: same}
	case backends.OpTypeIsFinite:
		return &instr{unary: isFinite}
	case backends.OpTypeIsNaN:
		return &instr{unary: isNaN}
	}
	if k := vectorCompare[n.op]; k != nil {
		return &instr{binary: k}
	}
	if k := binaryKernels[float32]()[n.op]; k != nil {
		return &instr{binary: k}
	}
	if k := unaryKernel[float32](n.op); k != nil {
		return &instr{unary: k}
	}
	return nil
}

func same(dst, a []float32) { copy(dst, a) }

func notZero(dst, a []float32) {
	for i, x := range a[:len(dst)] {
		dst[i] = truth[float32](x != 0)
	}
}

func isFinite(dst, a []float32) {
	for i, x := range a[:len(dst)] {
		dst[i] = truth[float32](x-x == 0)
	}
}

func isNaN(dst, a []float32) {
	for i, x := range a[:len(dst)] {
		dst[i] = truth[float32](x != x)
	}
}

// over are the dimensions that a node's chain runs over.
func (g *group) over(n *node) []int {
	if g.c.kinds[n.idx] == folded {
		return n.inputs[0].shape.Dimensions
	}
	return n.shape.Dimensions
}

// fuse plans a chain that ends in root: with everything not planned yet that only this chain needs first, and everything ready
// that works on the same operands.
func (g *group) fuse(root *node) {
	var set map[*node]bool
	for again := true; again; {
		set = map[*node]bool{}
		g.collect(root, g.over(root), set)
		again = false
		for _, n := range g.ordered(set) {
			for _, m := range n.inputs {
				if !set[m] && g.member(m) && g.vals[m] == nil {
					g.val(m)
					again = true
				}
			}
			if again {
				break
			}
		}
		if g.vals[root] != nil {
			return
		}
	}
	g.pull(set, g.over(root))
	g.chain(g.ordered(set))
}

func (g *group) ordered(set map[*node]bool) []*node {
	out := make([]*node, 0, len(set))
	for n := range set {
		out = append(out, n)
	}
	slices.SortFunc(out, func(a, b *node) int { return a.idx - b.idx })
	return out
}

func (g *group) collect(n *node, dims []int, set map[*node]bool) {
	if set[n] || g.vals[n] != nil || !g.member(n) || !slices.Equal(g.over(n), dims) {
		return
	}
	if k := g.c.kinds[n.idx]; k != chained && (k != folded || len(set) > 0) {
		return
	}
	set[n] = true
	for _, m := range n.inputs {
		g.collect(m, dims, set)
	}
}

// pull adds nodes that are ready and share an operand of full size with the chain.
func (g *group) pull(set map[*node]bool, dims []int) {
	shared := map[*node]bool{}
	take := func(n *node) {
		set[n] = true
		shared[n] = true
		for _, m := range n.inputs {
			if slices.Equal(m.shape.Dimensions, dims) {
				shared[m] = true
			}
		}
	}
	for _, n := range g.ordered(set) {
		take(n)
	}
	for _, n := range g.nodes {
		if k := g.c.kinds[n.idx]; set[n] || g.vals[n] != nil || k != chained && k != folded || !slices.Equal(g.over(n), dims) {
			continue
		}
		ready, close := true, false
		for _, m := range n.inputs {
			ready = ready && (set[m] && g.c.kinds[m.idx] != folded || g.ready(m))
			close = close || shared[m]
		}
		if ready && close {
			take(n)
		}
	}
}

// ready says whether a value needs nothing more to be planned but views.
func (g *group) ready(n *node) bool {
	if !g.member(n) || g.vals[n] != nil {
		return true
	}
	return g.c.kinds[n.idx] == view && g.ready(n.inputs[0])
}

// linear says whether a chain over dims can read a value: forwards or repeated along the innermost axis.
func linear(v *value, dims []int) bool {
	s := v.broadcastTo(dims)
	for i := len(dims) - 1; i >= 0; i-- {
		if dims[i] != 1 {
			return s[i] == 0 || s[i] == 1
		}
	}
	return true
}
