package cpu

import (
	"github.com/gomlx/gomlx/pkg/core/dtypes"

	"trmsweep/internal/cpu/kernel"
)

// Run implements kernel.Job over the pieces of a chain on whole values.
func (ch *chain) Run(lo, hi int) {
	w := ch.workers.get(ch.needs)
	ch.run(w, 0, lo, hi)
	ch.workers.put(w)
}

// piece is what a chain works on at a time: whole rows, or a part of one.
type piece struct{ row, rows, col, at, n int }

func (ch *chain) piece(i int) piece {
	cols := ch.length()
	if ch.perRow > 0 {
		p := piece{row: i / ch.perRow, rows: 1, col: i % ch.perRow * ch.span}
		p.n = min(ch.span, cols-p.col)
		p.at = p.row*cols + p.col
		return p
	}
	p := piece{row: i * ch.rowsPer}
	p.rows = min(ch.rowsPer, ch.rows()-p.row)
	p.at, p.n = p.row*cols, p.rows*cols
	return p
}

func (ch *chain) run(w *worker, tile, lo, hi int) {
	regs, bases := w.regs[:len(ch.regs)], w.bases[:len(ch.regs)]
	for i := range ch.regs {
		if r := &ch.regs[i]; r.v != nil && (r.v.dt() == dtypes.Float32 || r.v.masks()) {
			bases[i] = r.v.f32(w, tile)
		}
	}
	for i := range ch.prog {
		if s := &ch.prog[i]; s.load && ch.regs[s.dst].scalar {
			kernel.Fill(w.slots[ch.regs[s.dst].slot*ch.span:][:ch.span], ch.one(s.dst, w, tile))
		}
	}
	for i := lo; i < hi; i++ {
		p := ch.piece(i)
		for j := range ch.regs {
			switch r := &ch.regs[j]; {
			case r.slot >= 0:
				regs[j] = w.slots[r.slot*ch.span:][:p.n]
			case bases[j] == nil || r.scalar:
			case r.perRow:
				regs[j] = bases[j][p.row:][:p.rows]
			default:
				regs[j] = bases[j][p.at:][:p.n]
			}
		}
		ch.steps(w, tile, p, regs)
	}
}

func (ch *chain) steps(w *worker, tile int, p piece, regs [][]float32) {
	for i := range ch.prog {
		s := &ch.prog[i]
		switch {
		case s.binary != nil:
			s.binary(regs[s.dst], regs[s.src[0]], regs[s.src[1]])
		case s.unary != nil:
			s.unary(regs[s.dst], regs[s.src[0]])
		case s.scalar != nil:
			x := ch.one(s.src[1], w, tile)
			if s.negate {
				x = -x
			}
			s.scalar(regs[s.dst], regs[s.src[0]], x)
		case s.load:
			if !ch.regs[s.dst].scalar {
				ch.load(s.dst, w, tile, p, regs[s.dst])
			}
			continue
		case s.store:
			ch.store(s.src[0], w, tile, p, regs[s.src[0]])
			continue
		case s.grad != nil:
			s.grad(regs[s.dst], regs[s.more[0]], regs[s.more[1]], regs[s.src[0]], regs[s.src[1]], regs[s.src[2]])
		case s.choose != nil:
			s.choose(regs[s.dst], regs[s.src[0]], regs[s.src[1]], regs[s.src[2]])
		case s.fold != nil:
			from, cols := regs[s.src[0]], ch.length()
			to := regs[s.dst][:p.rows]
			for r := range to {
				to[r] = s.fold(from[r*cols:][:cols])
			}
			if s.round {
				kernel.RoundBF16(to, to)
			}
			continue
		}
		if s.round {
			kernel.RoundBF16(regs[s.dst], regs[s.dst])
		}
	}
}

// one reads a scalar.
func (ch *chain) one(r int, w *worker, tile int) float32 {
	v := ch.regs[r].v
	switch {
	case v.dt() == dtypes.BFloat16:
		return bf16(v.u16(w, tile)[0]).Float32()
	case v.dt() == dtypes.Bool:
		return truth[float32](v.bool(w, tile, 0))
	}
	return v.f32(w, tile)[0]
}

// load reads what a piece sees of an operand that is not float32 side by side.
func (ch *chain) load(r int, w *worker, tile int, p piece, dst []float32) {
	v, o := ch.regs[r].v, ch.regs[r].operand
	inner, n := ch.inner(o), p.n/p.rows
	for row := range p.rows {
		at := ch.row(o, p.row+row) + p.col*inner
		d := dst[row*n:][:n]
		switch {
		case v.dt() == dtypes.Bool && !v.masks():
			from := v.st.flat.([]bool)[v.off+tile*v.step+at:]
			for i := range d {
				d[i] = truth[float32](from[i*inner])
			}
		case v.dt() == dtypes.BFloat16 && inner == 0:
			kernel.FromBF16(d[:1], v.u16(w, tile)[at:])
			kernel.Fill(d, d[0])
		case v.dt() == dtypes.BFloat16:
			kernel.FromBF16(d, v.u16(w, tile)[at:])
		case inner == 0:
			kernel.Fill(d, v.f32(w, tile)[at])
		default:
			copy(d, v.f32(w, tile)[at:])
		}
	}
}

// store writes a result that is not float32.
func (ch *chain) store(r int, w *worker, tile int, p piece, src []float32) {
	v, at, n := ch.regs[r].v, p.at, p.n
	if ch.regs[r].perRow {
		at, n = p.row, p.rows
	}
	if v.dt() == dtypes.BFloat16 {
		kernel.ToBF16(v.u16(w, tile)[at:][:n], src)
		return
	}
	to := v.st.flat.([]bool)[v.off+tile*v.step+at:][:n]
	for i := range to {
		to[i] = src[i] != 0
	}
}
