package sudoku

import "math/bits"

// Solver finds solutions by propagating candidates in bands of 27 bits (locked candidates
// by table, singles by bit tricks) and guessing. It guesses on the cell with two
// candidates whose digits affect most other cells with two or three. The zero value is
// ready for use. A Solver is not safe for concurrent use.
type Solver struct {
	// Backtracks is the number of guesses of the last search that led to no solution.
	Backtracks int
	// Stop may be nil. When it returns true, Generate and GenerateLike end early and return
	// the zero Puzzle, and Count ends early with a smaller number.
	Stop func() bool

	limit, found int
	first        Grid
	rng          *Rand
}

type state struct {
	b      [9][3]uint32 // candidates of each digit in each band
	solved [3]uint32
	dirty  uint32 // bit set of digits whose candidates changed
}

// Solve returns a solution of q and says whether there is one.
func (s *Solver) Solve(q *Grid) (Grid, bool) {
	n := s.Count(q, 1)
	return s.first, n > 0
}

// Count counts the solutions of q up to limit. First then returns one of them.
func (s *Solver) Count(q *Grid, limit int) int {
	s.Backtracks, s.found, s.limit = 0, 0, limit
	var st state
	if limit <= 0 || !st.load(q) {
		return 0
	}
	s.search(&st)
	return s.found
}

// First returns the first solution that the last search found.
func (s *Solver) First() Grid { return s.first }

// Unique says whether q has exactly one solution.
func (s *Solver) Unique(q *Grid) bool { return s.Count(q, 2) == 1 }

// load starts with the clues of q. It returns false if two clues in a row conflict.
func (st *state) load(q *Grid) bool {
	var own [10][3]uint32 // clues of each digit; blanks
	for k := range 3 {
		for cell, d := range q[27*k : 27*k+27] {
			own[d][k] |= 1 << cell
		}
		st.solved[k] = full &^ own[0][k]
	}
	for d := range st.b {
		for k := range 3 {
			x := own[d+1][k]
			r := rows(x)
			if x&(x-r&rowBit) != 0 { // the digit is twice in a row
				return false
			}
			st.b[d][k] = x | own[0][k]&^r
		}
	}
	st.dirty = 511
	return true
}

// rows returns all cells of the rows that have a cell in x.
func rows(x uint32) uint32 {
	const low, top = 255 * rowBit, 256 * rowBit
	z := ((x & low) + low | x) & top
	return z<<1 - z>>8
}

// set places digit d in a cell of band k. The digit must be a candidate there.
func (st *state) set(d, k, cell int) {
	bit := uint32(1) << cell
	for e := range st.b {
		if st.b[e][k]&bit != 0 {
			st.dirty |= 1 << e
		}
		st.b[e][k] &^= bit
	}
	p := &st.b[d]
	other := tblOther[cell]
	keep := p[k]&tblSelf[cell] | bit
	p[0] &= other
	p[1] &= other
	p[2] &= other
	p[k] = keep
	st.solved[k] |= bit
}

// columns returns the columns with candidates as 9 bits.
func columns(a uint32) uint32 { return (a | a>>9 | a>>18) & 511 }

// minirows returns the minirows with candidates as 9 bits.
func minirows(a uint32) uint32 {
	return uint32(tblShrink[a&511]) | uint32(tblShrink[a>>9&511])<<3 | uint32(tblShrink[a>>18&511])<<6
}

// ones returns the cells that are the only candidate of their row. Every row must have a candidate.
func ones(a uint32) uint32 {
	const low, top = 255 * rowBit, 256 * rowBit
	more := a & (a - rowBit)
	z := top &^ ((more & low) + low | more)
	return a & (z<<1 - z>>8)
}

// digits propagates locked candidates and hidden singles until nothing changes. It
// returns false if a digit has no place left.
func (st *state) digits() bool {
	dirty := st.dirty
	for dirty != 0 {
		d := bits.TrailingZeros32(dirty)
		if d > 8 {
			return false // does not happen; spares bounds checks
		}
		dirty &= dirty - 1
		p := &st.b[d]
		a0, a1, a2 := p[0], p[1], p[2]
		for {
			a0 &= tblLocked[minirows(a0)&511]
			a1 &= tblLocked[minirows(a1)&511]
			a2 &= tblLocked[minirows(a2)&511]
			if a0 == 0 || a1 == 0 || a2 == 0 {
				return false
			}
			s0, s1, s2 := columns(a0), columns(a1), columns(a2)
			o := tblStack[0][s0&7|s1&7<<3|s2&7<<6] | tblStack[1][s0>>3&7|s1&0x38|s2&0x38<<3] | tblStack[2][s0>>6|s1>>3&0x38|s2&0x1c0]
			n0, n1, n2 := a0&(o&511*rowBit), a1&(o>>9&511*rowBit), a2&(o>>18&511*rowBit)
			if n0 == a0 && n1 == a1 && n2 == a2 {
				break
			}
			a0, a1, a2 = n0, n1, n2
		}
		o0, o1, o2 := ones(a0)&^st.solved[0], ones(a1)&^st.solved[1], ones(a2)&^st.solved[2]
		if o0|o1|o2 != 0 {
			st.solved[0] |= o0
			st.solved[1] |= o1
			st.solved[2] |= o2
			for e := range st.b {
				q := &st.b[e]
				x0, x1, x2 := q[0], q[1], q[2]
				h := x0&o0 | x1&o1 | x2&o2
				dirty |= (h | -h) >> 31 << e // branch-free, because the branch would be unpredictable
				q[0], q[1], q[2] = x0&^o0, x1&^o1, x2&^o2
			}
			dirty &^= 1 << d
		}
		p[0], p[1], p[2] = a0, a1, a2
	}
	st.dirty = 0
	return true
}

// propagate also applies naked singles. It returns false if the state has no solution.
func (st *state) propagate() bool {
	for {
		if !st.digits() {
			return false
		}
		var n [3]uint32
		for k := range 3 {
			var c1, c2 uint32
			for d := range st.b {
				x := st.b[d][k]
				c2 |= c1 & x
				c1 |= x
			}
			if c1 != full {
				return false
			}
			n[k] = c1 &^ c2 &^ st.solved[k]
		}
		if n[0]|n[1]|n[2] == 0 {
			return true
		}
		for d := range st.b {
			p := &st.b[d]
			for k := range 3 {
				x := p[k] & n[k]
				if x == 0 {
					continue
				}
				st.dirty |= 1 << d
				for ; x != 0; x &= x - 1 {
					cell := bits.TrailingZeros32(x)
					if p[k]>>cell&1 == 0 {
						return false
					}
					keep := p[k] & tblSelf[cell]
					p[0] &= tblOther[cell]
					p[1] &= tblOther[cell]
					p[2] &= tblOther[cell]
					p[k] = keep
				}
			}
		}
		st.solved[0] |= n[0]
		st.solved[1] |= n[1]
		st.solved[2] |= n[2]
	}
}

func (s *Solver) search(st *state) {
	// The last candidate of a cell is searched in place: open is the number of such guesses
	// since the latest solution.
	open, since := 0, s.found
	defer func() {
		if s.found == since {
			s.Backtracks += open
		}
	}()
	for st.propagate() {
		if st.solved[0]&st.solved[1]&st.solved[2] == full {
			if s.found == 0 {
				st.store(&s.first)
			}
			s.found++
			if s.found%4096 == 0 && s.Stop != nil && s.Stop() {
				s.limit = s.found
			}
			return
		}
		k, cell, d := s.pick(st)
		left := 0
		for e := range st.b {
			left += int(st.b[e][k] >> cell & 1)
		}
		for ; left > 1; d++ {
			if d == 9 {
				d = 0
			}
			if st.b[d][k]>>cell&1 == 0 {
				continue
			}
			left--
			next := *st
			before := s.found
			next.set(d, k, cell)
			s.search(&next)
			if s.found == before {
				s.Backtracks++
			}
			if s.found >= s.limit {
				return
			}
		}
		for d %= 9; st.b[d][k]>>cell&1 == 0; d = (d + 1) % 9 {
		}
		if s.found != since {
			open, since = 0, s.found
		}
		open++
		st.set(d, k, cell)
	}
}

func (st *state) store(g *Grid) {
	for d := range 9 {
		for k := range 3 {
			for x := st.b[d][k]; x != 0; x &= x - 1 {
				g[27*k+bits.TrailingZeros32(x)] = uint8(d + 1)
			}
		}
	}
}
