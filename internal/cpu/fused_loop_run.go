package cpu

import (
	"github.com/gomlx/gomlx/pkg/core/dtypes"

	"trmsweep/internal/cpu/kernel"
)

// Run implements kernel.Job for a loop over whole values; the range counts pieces.
func (l *fusedLoop) Run(lo, hi int) {
	w := l.workers.get(l.sizes)
	l.run(w, 0, lo, hi)
	l.workers.put(w)
}

// piece is what the program runs over at a time: whole rows, or a part of one. It starts at column col of row row, which is element at
// of all, and has n elements.
type piece struct{ row, rows, col, at, n int }

func (l *fusedLoop) piece(i int) piece {
	cols := l.length()
	if l.piecesPerRow > 0 {
		p := piece{row: i / l.piecesPerRow, rows: 1, col: i % l.piecesPerRow * l.slotLen}
		p.n = min(l.slotLen, cols-p.col)
		p.at = p.row*cols + p.col
		return p
	}
	p := piece{row: i * l.rowsPerPiece}
	p.rows = min(l.rowsPerPiece, l.rows()-p.row)
	p.at = p.row * cols
	p.n = p.rows * cols
	return p
}

// run computes the pieces from lo to hi of a tile.
func (l *fusedLoop) run(w *worker, tile, lo, hi int) {
	regs := w.regs[:len(l.registers)]
	bases := w.bases[:len(l.registers)] // the memory of those that are float32
	for i := range l.registers {
		if v := l.registers[i].v; v != nil && v.isFloat32() {
			bases[i] = v.f32(w, tile)
		}
	}
	for i := range l.program {
		if s := &l.program[i]; s.load && l.registers[s.dst].scalar {
			kernel.Fill(w.slots[l.registers[s.dst].slot*l.slotLen:][:l.slotLen], l.scalarValue(s.dst, w, tile))
		}
	}
	for i := lo; i < hi; i++ {
		p := l.piece(i)
		for j := range l.registers {
			switch r := &l.registers[j]; {
			case r.slot >= 0:
				regs[j] = w.slots[r.slot*l.slotLen:][:p.n]
			case bases[j] == nil || r.scalar:
			case r.perRow:
				regs[j] = bases[j][p.row:][:p.rows]
			default:
				regs[j] = bases[j][p.at:][:p.n]
			}
		}
		l.runPiece(w, tile, p, regs)
	}
}

// runPiece runs the program over one piece.
func (l *fusedLoop) runPiece(w *worker, tile int, p piece, regs [][]float32) {
	for i := range l.program {
		s := &l.program[i]
		switch {
		case s.binary != nil:
			s.binary(regs[s.dst], regs[s.src[0]], regs[s.src[1]])
		case s.unary != nil:
			s.unary(regs[s.dst], regs[s.src[0]])
		case s.scalar != nil:
			x := l.scalarValue(s.src[1], w, tile)
			if s.negate {
				x = -x
			}
			s.scalar(regs[s.dst], regs[s.src[0]], x)
		case s.load:
			if !l.registers[s.dst].scalar {
				l.load(s.dst, w, tile, p, regs[s.dst])
			}
			continue
		case s.store:
			l.store(s.src[0], w, tile, p, regs[s.src[0]])
			continue
		case s.grad != nil:
			s.grad(regs[s.dst], regs[s.moreDst[0]], regs[s.moreDst[1]], regs[s.src[0]], regs[s.src[1]], regs[s.src[2]])
		case s.choose != nil:
			s.choose(regs[s.dst], regs[s.src[0]], regs[s.src[1]], regs[s.src[2]])
		case s.reduce != nil:
			from, cols := regs[s.src[0]], l.length()
			to := regs[s.dst][:p.rows]
			for r := range to {
				to[r] = s.reduce(from[r*cols:][:cols])
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

// scalarValue reads a scalar.
func (l *fusedLoop) scalarValue(r int, w *worker, tile int) float32 {
	v := l.registers[r].v
	switch {
	case v.dt() == dtypes.BFloat16:
		return bf16(v.u16(w, tile)[0]).Float32()
	case v.dt() == dtypes.Bool:
		return truth[float32](v.bool(w, tile, 0))
	}
	return v.f32(w, tile)[0]
}

// load fills a register with a piece of an operand that is not float32 or does not lie side by side.
func (l *fusedLoop) load(r int, w *worker, tile int, p piece, dst []float32) {
	v, o := l.registers[r].v, l.registers[r].operand
	inner, n := l.inner(o), p.n/p.rows
	for row := range p.rows {
		at := l.row(o, p.row+row) + p.col*inner
		d := dst[row*n:][:n]
		switch {
		case v.dt() == dtypes.Bool && !v.st.isMask():
			from := v.st.flat.([]bool)[v.off+tile*v.tileStride+at:]
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

// store writes a register to a result that is not float32.
func (l *fusedLoop) store(r int, w *worker, tile int, p piece, src []float32) {
	v, at, n := l.registers[r].v, p.at, p.n
	if l.registers[r].perRow {
		at, n = p.row, p.rows
	}
	if v.dt() == dtypes.BFloat16 {
		kernel.ToBF16(v.u16(w, tile)[at:][:n], src)
		return
	}
	to := v.st.flat.([]bool)[v.off+tile*v.tileStride+at:][:n]
	for i := range to {
		to[i] = src[i] != 0
	}
}
