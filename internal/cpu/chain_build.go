package cpu

import (
	"fmt"
	"slices"

	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/pkg/core/dtypes"

	"trmsweep/internal/cpu/kernel"
)

type builtChain struct {
	g      *group
	ch     *chain
	dims   []int
	regOf  map[*node]int
	vals   []*value
	stride [][]int
}

// chain plans the nodes of one chain, in order.
func (g *group) chain(nodes []*node) {
	dims := g.tileOf(g.over(nodes[0]))
	inside := map[*node]bool{}
	for _, n := range nodes {
		inside[n] = true
	}
	for _, n := range nodes {
		for i, m := range n.inputs {
			if inside[m] {
				continue
			}
			if v := g.in(n, i); !linear(v, dims) {
				g.replace(n, i, g.dense(n, v, g.member(m) && g.escape[m]))
			}
		}
	}
	b := &builtChain{g: g, dims: dims, regOf: map[*node]int{},
		ch: &chain{pool: g.c.b.pool, workers: &g.c.b.workers, needs: g.c.needs}}
	var order []*node
	var steps []instr
	at, gone := g.gates(nodes, inside)
	for _, n := range nodes {
		switch q := at[n]; {
		case q != nil:
			steps = append(steps, b.gated(q, inside))
		case gone[n]:
			continue
		default:
			s := b.step(n, inside)
			s.dst = b.result(n, inside)
			steps = append(steps, s)
		}
		order = append(order, n)
	}
	b.finish(order, steps)
	ch, used := b.ch, b.vals
	if g.tiles > 1 {
		g.emit(nodes[len(nodes)-1], func(w *worker, tile int) { ch.run(w, tile, 0, ch.pieces) }, used...)
		return
	}
	grain := max(1, (1<<15)/max(1, min(ch.span, product(dims))*len(ch.prog)/4), (ch.pieces+127)/128)
	g.emit(nodes[len(nodes)-1], func(*worker, int) { ch.pool.Run(ch.pieces, grain, ch) }, used...)
}

// add makes a value an operand of the chain's layout.
func (b *builtChain) add(v *value, strides []int) int {
	b.vals, b.stride = append(b.vals, v), append(b.stride, strides)
	return len(b.vals) - 1
}

// step makes the instruction of a node, with registers for the operands from outside.
func (b *builtChain) step(n *node, inside map[*node]bool) instr {
	var s instr
	if b.g.c.kinds[n.idx] == folded {
		s.fold = kernel.Sum
		if n.op == backends.OpTypeReduceMax {
			s.fold = kernel.MaxOf
		}
	} else {
		s = *chainStep(n)
	}
	// Within a chain bfloat16 arithmetic keeps float32's digits, as XLA's does; only what is asked for by name rounds.
	s.round = n.shape.DType == dtypes.BFloat16 && n.op == backends.OpTypeConvertDType
	s.src = [3]int{-1, -1, -1}
	for i, m := range n.inputs {
		s.src[i] = b.operand(m, inside)
	}
	return s
}

// result makes the register of a node's result: memory where anything outside the chain reads it.
func (b *builtChain) result(n *node, inside map[*node]bool) int {
	g := b.g
	r := register{operand: -1, slot: -1}
	folds := n != nil && g.c.kinds[n.idx] == folded
	kept := n != nil && (folds || g.escape[n])
	for i := 0; n != nil && i < len(g.c.users[n.idx]); i++ {
		kept = kept || !inside[g.c.users[n.idx][i]]
	}
	if kept {
		r.v = g.alloc(n)
		g.vals[n] = r.v
		strides := denseStrides(b.dims)
		if folds {
			r.perRow = true
			strides = append(denseStrides(b.dims[:len(b.dims)-1]), 0)
		}
		r.operand = b.add(r.v, strides)
	}
	b.ch.regs = append(b.ch.regs, r)
	at := len(b.ch.regs) - 1
	if n != nil {
		b.regOf[n] = at
	}
	return at
}

// gated makes the instruction of a SwiGLU or its gradient.
func (b *builtChain) gated(q *gated, inside map[*node]bool) instr {
	s := instr{fused: true, src: [3]int{-1, -1, -1}}
	for i, m := range q.operands() {
		s.src[i] = b.operand(m, inside)
	}
	var to [3]int
	for i, n := range q.results() {
		to[i] = b.result(n, inside)
	}
	s.dst, s.more = to[0], [2]int{to[1], to[2]}
	if q.dOut == nil {
		s.binary = kernel.SwiGLU
	} else {
		s.grad = kernel.SwiGLUGrad
	}
	return s
}

// operand is the register of a node that the chain reads.
func (b *builtChain) operand(m *node, inside map[*node]bool) int {
	if r, ok := b.regOf[m]; ok && inside[m] {
		return r
	}
	if v := b.g.vals[m]; v != nil || !b.g.member(m) {
		for _, u := range b.g.c.users[m.idx] {
			if inside[u] {
				for i, x := range u.inputs {
					if x == m {
						return b.outside(b.g.in(u, i))
					}
				}
			}
		}
	}
	panic(fmt.Sprintf("chain reads %s before it is computed", m.op))
}

// outs are the registers that an instruction writes.
func (s *instr) outs() []int {
	switch {
	case s.grad != nil:
		return []int{s.dst, s.more[0], s.more[1]}
	case s.dst < 0:
		return nil
	}
	return []int{s.dst}
}

// outside is the register of an operand from elsewhere.
func (b *builtChain) outside(v *value) int {
	strides := v.broadcastTo(b.dims)
	for i, r := range b.ch.regs {
		if r.v != nil && r.v.st == v.st && r.v.off == v.off && r.v.step == v.step && r.operand >= 0 && slices.Equal(b.stride[r.operand], strides) && !r.perRow {
			return i
		}
	}
	r := register{v: v, slot: -1, operand: b.add(v, strides)}
	b.ch.regs = append(b.ch.regs, r)
	return len(b.ch.regs) - 1
}

// finish settles the pieces, writes the program and shares the slots.
func (b *builtChain) finish(nodes []*node, steps []instr) {
	ch := b.ch
	ch.layout = newLayout(b.dims, b.stride...)
	cols, rows := ch.length(), ch.rows()
	ch.span = block
	for _, s := range steps {
		if s.fold != nil {
			ch.span = max(block, cols)
		}
	}
	if rows == 1 || cols > ch.span {
		ch.perRow = (cols + ch.span - 1) / ch.span
		ch.pieces = rows * ch.perRow
	} else {
		ch.rowsPer = ch.span / cols
		ch.pieces = (rows + ch.rowsPer - 1) / ch.rowsPer
	}
	one := cols*rows == 1
	solid := denseStrides(ch.dims)
	direct := make([]bool, len(ch.regs)) // the slice is the operand's own memory
	for i := range ch.regs {
		r := &ch.regs[i]
		if r.v == nil {
			continue
		}
		own := r.v.dt() == dtypes.Float32 || r.v.masks()
		s := ch.strides[r.operand]
		direct[i] = own && (one || r.perRow || slices.Equal(s, solid))
		r.scalar = !one && !r.perRow && !slices.ContainsFunc(s, func(x int) bool { return x != 0 })
	}
	// Scalars that an instruction takes as such need no slot.
	for i := range steps {
		s := &steps[i]
		op := nodes[i].op
		if s.binary == nil || s.src[1] < 0 || s.fused {
			continue
		}
		for side := range 2 {
			if !ch.regs[s.src[1-side]].scalar || ch.regs[s.src[side]].scalar {
				continue
			}
			switch {
			case op == backends.OpTypeMul:
				s.scalar = kernel.Scale
			case op == backends.OpTypeAdd, op == backends.OpTypeSub && side == 0:
				s.scalar, s.negate = kernel.AddScalar, op == backends.OpTypeSub
			}
			if s.scalar != nil {
				s.binary, s.src[0], s.src[1] = nil, s.src[side], s.src[1-side]
				break
			}
		}
	}
	var prog []instr
	loaded := make([]bool, len(ch.regs))
	for _, s := range steps {
		for _, r := range s.slices() {
			if ch.regs[r].v == nil || direct[r] || loaded[r] {
				continue
			}
			if slices.ContainsFunc(prog, func(p instr) bool { return !p.load && slices.Contains(p.outs(), r) }) {
				continue
			}
			loaded[r] = true
			prog = append(prog, instr{load: true, dst: r, src: [3]int{-1, -1, -1}})
		}
		prog = append(prog, s)
		for _, r := range s.outs() {
			if ch.regs[r].v != nil && !direct[r] {
				prog = append(prog, instr{store: true, dst: -1, src: [3]int{r, -1, -1}})
			}
		}
	}
	ch.share(prog, direct)
	ch.needs.cover(needs{slots: ch.slots * ch.span, regs: len(ch.regs)})
}

// share gives slots to the registers that need one; a slot is free again after its register's last use. Scalars keep theirs.
func (ch *chain) share(prog []instr, direct []bool) {
	ch.prog = prog
	last := make([]int, len(ch.regs))
	for i, s := range prog {
		for _, r := range s.slices() {
			last[r] = i
		}
	}
	var free []int
	take := func(r int) {
		if ch.regs[r].slot >= 0 || direct[r] {
			return
		}
		if len(free) == 0 {
			free = append(free, ch.slots)
			ch.slots++
		}
		ch.regs[r].slot, free = free[len(free)-1], free[:len(free)-1]
	}
	for _, s := range prog {
		if s.load && ch.regs[s.dst].scalar {
			take(s.dst)
		}
	}
	for i, s := range prog {
		for _, r := range s.slices() {
			if q := ch.regs[r]; last[r] == i && q.slot >= 0 && !q.scalar && !slices.Contains(free, q.slot) {
				free = append(free, q.slot)
			}
		}
		for _, r := range s.outs() {
			take(r) // may be an operand's: every step reads an element before it writes it
		}
	}
}

// slices are the registers that an instruction reads as such.
func (s *instr) slices() []int {
	n := len(s.src)
	if s.scalar != nil {
		n = 1
	}
	for n > 0 && s.src[n-1] < 0 {
		n--
	}
	return s.src[:n]
}
