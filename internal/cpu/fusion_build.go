package cpu

import (
	"fmt"
	"slices"

	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/pkg/core/dtypes"

	"trmsweep/internal/cpu/kernel"
)

// fusedLoopBuilder makes the program of a fused loop.
type fusedLoopBuilder struct {
	g          *group
	loop       *fusedLoop
	dims       []int
	inside     map[*node]bool // the nodes that the loop computes
	registerOf map[*node]int
	values     []*value // the operands and results in memory
	strides    [][]int  // of values
	ops        []backends.OpType
	body       []instruction // as ops, without loads and stores
}

// emitFusedLoop emits one loop for the nodes, which are in order and whose other operands are lowered.
func (g *group) emitFusedLoop(nodes []*node) {
	b := &fusedLoopBuilder{
		g:          g,
		dims:       g.tileOf(g.loopDims(nodes[0])),
		inside:     map[*node]bool{},
		registerOf: map[*node]int{},
		loop:       &fusedLoop{pool: g.c.dev.pool, workers: &g.c.dev.workers, sizes: g.c.sizes},
	}
	for _, n := range nodes {
		b.inside[n] = true
	}
	b.copyScattered(nodes)
	b.addBody(nodes)
	b.finish()
	loop, last := b.loop, nodes[len(nodes)-1]
	if g.tiles > 1 {
		g.emit(last, func(w *worker, tile int) { loop.run(w, tile, 0, loop.pieces) }, b.values...)
		return
	}
	work := max(1, min(loop.slotLen, product(b.dims))*len(loop.program)/4) // of a piece
	grain := max(1, (1<<15)/work, (loop.pieces+127)/128)
	g.emit(last, func(*worker, int) { loop.pool.Run(loop.pieces, grain, loop) }, b.values...)
}

// copyScattered copies the operands that a loop cannot read as they lie.
func (b *fusedLoopBuilder) copyScattered(nodes []*node) {
	g := b.g
	for _, n := range nodes {
		for i, m := range n.inputs {
			if b.inside[m] {
				continue
			}
			if v := g.operand(n, i); !linear(v, b.dims) {
				g.replaceOperand(n, i, g.copyDense(n, v, g.member(m) && g.escapes[m]))
			}
		}
	}
}

// linear reports whether a loop over dims can read a value: its innermost axis runs forwards, or is one element repeated.
func linear(v *value, dims []int) bool {
	s := v.broadcastTo(dims)
	for i := len(dims) - 1; i >= 0; i-- {
		if dims[i] != 1 {
			return s[i] == 0 || s[i] == 1
		}
	}
	return true
}

// addBody makes the instructions of the nodes. A SwiGLU among them becomes one instruction.
func (b *fusedLoopBuilder) addBody(nodes []*node) {
	swiGLUs, covered := b.g.matchSwiGLUs(nodes, b.inside)
	for _, n := range nodes {
		switch q := swiGLUs[n]; {
		case q != nil:
			b.body = append(b.body, b.swiGLUInstruction(q))
		case covered[n]:
			continue
		default:
			b.body = append(b.body, b.instructionOf(n))
		}
		b.ops = append(b.ops, n.op)
	}
}

// instructionOf makes the instruction of a node, with registers for its operands and its result.
func (b *fusedLoopBuilder) instructionOf(n *node) instruction {
	var s instruction
	if b.g.c.kinds[n.idx] == reductionEpilogue {
		s.reduce = kernel.Sum
		if n.op == backends.OpTypeReduceMax {
			s.reduce = kernel.MaxOf
		}
	} else {
		s = *elementwiseInstruction(n)
	}
	// Within a loop bfloat16 arithmetic keeps float32's digits, as XLA's does. Only an explicit conversion rounds.
	s.round = n.shape.DType == dtypes.BFloat16 && n.op == backends.OpTypeConvertDType
	s.src = [3]int{-1, -1, -1}
	for i, m := range n.inputs {
		s.src[i] = b.operandRegister(m)
	}
	s.dst = b.resultRegister(n)
	return s
}

// swiGLUInstruction makes the instruction of a SwiGLU or its gradient.
func (b *fusedLoopBuilder) swiGLUInstruction(q *swiGLU) instruction {
	s := instruction{fused: true, src: [3]int{-1, -1, -1}}
	for i, m := range q.operands() {
		s.src[i] = b.operandRegister(m)
	}
	var to [3]int
	for i, n := range q.results() {
		to[i] = b.resultRegister(n)
	}
	s.dst, s.moreDst = to[0], [2]int{to[1], to[2]}
	if q.dOut == nil {
		s.binary = kernel.SwiGLU
	} else {
		s.grad = kernel.SwiGLUGrad
	}
	return s
}

// resultRegister makes the register of a node's result. The result goes to memory if anything outside of the loop reads it. A nil node is
// a result that nothing reads.
func (b *fusedLoopBuilder) resultRegister(n *node) int {
	r := register{operand: -1, slot: -1}
	if n != nil && b.readOutside(n) {
		g := b.g
		r.v = g.alloc(n)
		g.vals[n] = r.v
		strides := denseStrides(b.dims)
		if g.c.kinds[n.idx] == reductionEpilogue {
			r.perRow = true
			strides = append(denseStrides(b.dims[:len(b.dims)-1]), 0)
		}
		r.operand = b.addValue(r.v, strides)
	}
	b.loop.registers = append(b.loop.registers, r)
	at := len(b.loop.registers) - 1
	if n != nil {
		b.registerOf[n] = at
	}
	return at
}

func (b *fusedLoopBuilder) readOutside(n *node) bool {
	if b.g.escapes[n] || b.g.c.kinds[n.idx] == reductionEpilogue {
		return true
	}
	return slices.ContainsFunc(b.g.c.users[n.idx], func(u *node) bool { return !b.inside[u] })
}

// operandRegister is the register of a node that the loop reads.
func (b *fusedLoopBuilder) operandRegister(m *node) int {
	if r, ok := b.registerOf[m]; ok && b.inside[m] {
		return r
	}
	for _, u := range b.g.c.users[m.idx] {
		if i := slices.Index(u.inputs, m); b.inside[u] && i >= 0 {
			return b.outsideRegister(b.g.operand(u, i))
		}
	}
	panic(fmt.Sprintf("a fused loop reads %s before it is computed", m.op))
}

// outsideRegister is the register of a value that lies in memory. Equal views share one.
func (b *fusedLoopBuilder) outsideRegister(v *value) int {
	strides := v.broadcastTo(b.dims)
	for i, r := range b.loop.registers {
		if r.v == nil || r.perRow || r.operand < 0 {
			continue
		}
		sameStart := r.v.st == v.st && r.v.off == v.off && r.v.tileStride == v.tileStride
		if sameStart && slices.Equal(b.strides[r.operand], strides) {
			return i
		}
	}
	r := register{v: v, slot: -1, operand: b.addValue(v, strides)}
	b.loop.registers = append(b.loop.registers, r)
	return len(b.loop.registers) - 1
}

// addValue makes a value an operand of the loop's layout.
func (b *fusedLoopBuilder) addValue(v *value, strides []int) int {
	b.values = append(b.values, v)
	b.strides = append(b.strides, strides)
	return len(b.values) - 1
}

// finish chooses the pieces, completes the program and allocates the slots.
func (b *fusedLoopBuilder) finish() {
	loop := b.loop
	loop.layout = newLayout(b.dims, b.strides...)
	b.choosePieces()
	b.findScalars()
	for i := range b.body {
		b.useScalarKernel(&b.body[i], b.ops[i])
	}
	direct := b.directRegisters()
	loop.program = b.addLoadsAndStores(direct)
	loop.allocateSlots(direct)
	loop.sizes.cover(workerSizes{slots: loop.slots * loop.slotLen, regs: len(loop.registers)})
}

// choosePieces cuts the loop into pieces that fit into slots. A row that is reduced is not cut.
func (b *fusedLoopBuilder) choosePieces() {
	loop := b.loop
	cols, rows := loop.length(), loop.rows()
	loop.slotLen = block
	for _, s := range b.body {
		if s.reduce != nil {
			loop.slotLen = max(block, cols)
		}
	}
	if rows == 1 || cols > loop.slotLen {
		loop.piecesPerRow = (cols + loop.slotLen - 1) / loop.slotLen
		loop.pieces = rows * loop.piecesPerRow
		return
	}
	loop.rowsPerPiece = loop.slotLen / cols
	loop.pieces = (rows + loop.rowsPerPiece - 1) / loop.rowsPerPiece
}

// oneElement reports whether the whole loop computes one element.
func (b *fusedLoopBuilder) oneElement() bool { return b.loop.length()*b.loop.rows() == 1 }

// findScalars marks the registers of one element that is repeated over the whole loop.
func (b *fusedLoopBuilder) findScalars() {
	for i := range b.loop.registers {
		r := &b.loop.registers[i]
		if r.v == nil || r.perRow || b.oneElement() {
			continue
		}
		r.scalar = !slices.ContainsFunc(b.loop.strides[r.operand], func(stride int) bool { return stride != 0 })
	}
}

// directRegisters tells which registers need no slot because kernels read or write the value's own memory.
func (b *fusedLoopBuilder) directRegisters() []bool {
	solid := denseStrides(b.loop.layout.dims)
	direct := make([]bool, len(b.loop.registers))
	for i, r := range b.loop.registers {
		if r.v == nil {
			continue
		}
		if r.v.isFloat32() {
			direct[i] = b.oneElement() || r.perRow || slices.Equal(b.loop.strides[r.operand], solid)
		}
	}
	return direct
}

// useScalarKernel replaces a binary instruction by one that takes a scalar as such, so that the scalar needs no slot.
func (b *fusedLoopBuilder) useScalarKernel(s *instruction, op backends.OpType) {
	if s.binary == nil || s.src[1] < 0 || s.fused {
		return
	}
	for side := range 2 {
		x, scalar := s.src[side], s.src[1-side]
		if !b.loop.registers[scalar].scalar || b.loop.registers[x].scalar {
			continue
		}
		switch op {
		case backends.OpTypeMul:
			s.scalar = kernel.Scale
		case backends.OpTypeAdd:
			s.scalar = kernel.AddScalar
		case backends.OpTypeSub:
			if side == 0 { // x - scalar; there is no kernel for scalar - x
				s.scalar = kernel.AddScalar
				s.negate = true
			}
		}
		if s.scalar != nil {
			s.binary = nil
			s.src[0], s.src[1] = x, scalar
			return
		}
	}
}

// addLoadsAndStores completes the body: an operand is loaded before its first use, a result is stored at once, unless they are direct.
func (b *fusedLoopBuilder) addLoadsAndStores(direct []bool) (program []instruction) {
	available := slices.Clone(direct) // in a slot, or direct
	for _, s := range b.body {
		for _, r := range s.operands() {
			if b.loop.registers[r].v != nil && !available[r] {
				available[r] = true
				program = append(program, instruction{load: true, dst: r, src: [3]int{-1, -1, -1}})
			}
		}
		program = append(program, s)
		for _, r := range s.results() {
			available[r] = true
			if b.loop.registers[r].v != nil && !direct[r] {
				program = append(program, instruction{store: true, dst: -1, src: [3]int{r, -1, -1}})
			}
		}
	}
	return program
}
