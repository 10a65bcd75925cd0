package sudoku

import "math/bits"

// Solver finds solutions by propagating candidates in bands of 27 bits (locked
// candidates by table, singles by bit counts) and guessing on the cell with the
// fewest candidates. The zero value is ready; a Solver is not safe for concurrent use.
type Solver struct {
	// Backtracks counts the guesses of the last search that led to no solution.
	Backtracks int

	limit, found int
	first        Grid
	rng          *Rand
}

type state struct {
	b, prev [27]uint32 // candidates of digit d in band k at 3*d+k, now and when last propagated
	solved  [3]uint32
}

// Solve returns a solution of q, and whether there is one.
func (s *Solver) Solve(q *Grid) (Grid, bool) {
	n := s.Count(q, 1)
	return s.first, n > 0
}

// Count counts the solutions of q up to limit; First is then one of them.
func (s *Solver) Count(q *Grid, limit int) int {
	s.Backtracks, s.found, s.limit = 0, 0, limit
	var st state
	if !st.load(q) || limit <= 0 {
		return 0
	}
	s.search(&st)
	return s.found
}

// First is the first solution that the last search found.
func (s *Solver) First() Grid { return s.first }

// Unique says whether q has exactly one solution.
func (s *Solver) Unique(q *Grid) bool { return s.Count(q, 2) == 1 }

func (st *state) load(q *Grid) bool {
	for i := range st.b {
		st.b[i] = full
	}
	for i, d := range q {
		if d != 0 && !st.set(int(d-1), i/27, i%27) {
			return false
		}
	}
	return true
}

// set places digit d in a cell of band k; false if it is no candidate there.
func (st *state) set(d, k, cell int) bool {
	bit := uint32(1) << cell
	if st.b[3*d+k]&bit == 0 {
		return false
	}
	for e := k; e < 27; e += 3 {
		st.b[e] &^= bit
	}
	st.b[3*d+k] |= bit
	st.b[3*d] &= tblOther[cell]
	st.b[3*d+1] &= tblOther[cell]
	st.b[3*d+2] &= tblOther[cell]
	st.b[3*d+k] |= bit
	st.b[3*d+k] &= tblSelf[cell]
	st.solved[k] |= bit
	return true
}

// bands propagates locked candidates and hidden singles until nothing changes.
func (st *state) bands() bool {
	for changed := true; changed; {
		changed = false
		for d := 0; d < 27; d += 3 {
			for k := range 3 {
				a := st.b[d+k]
				if a == st.prev[d+k] {
					continue
				}
				changed = true
				a &= tblLocked[tblShrink[a&511]|tblShrink[a>>9&511]<<3|tblShrink[a>>18&511]<<6]
				if a == 0 {
					return false
				}
				st.b[d+k], st.prev[d+k] = a, a
				keep := tblColumns[(a|a>>9|a>>18)&511]
				k1, k2 := (k+1)%3, (k+2)%3
				st.b[d+k1] &= keep
				st.b[d+k2] &= keep
				var one uint32
				for r := uint32(511); r < full; r <<= 9 {
					if x := a & r; x&(x-1) == 0 {
						one |= x
					}
				}
				if one &^= st.solved[k]; one != 0 {
					st.solved[k] |= one
					for e := k; e < 27; e += 3 {
						st.b[e] &^= one
					}
					st.b[d+k] |= one
				}
			}
		}
	}
	return true
}

// propagate goes on with naked singles; it returns the cells with exactly two and
// with exactly three candidates, and all undecided ones.
func (st *state) propagate() (two, three, open [3]uint32, ok bool) {
	for {
		if !st.bands() {
			return two, three, open, false
		}
		again := false
		for k := range 3 {
			var c1, c2, c3, c4 uint32
			for e := k; e < 27; e += 3 {
				x := st.b[e]
				c4 |= c3 & x
				c3 |= c2 & x
				c2 |= c1 & x
				c1 |= x
			}
			if c1 != full {
				return two, three, open, false
			}
			two[k], three[k], open[k] = c2&^c3, c3&^c4, c2
			for n := c1 &^ c2 &^ st.solved[k]; n != 0; n &= n - 1 {
				again = true
				cell := bits.TrailingZeros32(n)
				placed := false
				for d := range 9 {
					if st.b[3*d+k]>>cell&1 != 0 {
						placed = st.set(d, k, cell)
						break
					}
				}
				if !placed {
					return two, three, open, false
				}
			}
		}
		if !again {
			return two, three, open, true
		}
	}
}

func (s *Solver) search(st *state) {
	two, three, open, ok := st.propagate()
	if !ok {
		return
	}
	if open[0]|open[1]|open[2] == 0 {
		if s.found == 0 {
			st.store(&s.first)
		}
		s.found++
		return
	}
	pick := &two
	if two[0]|two[1]|two[2] == 0 {
		if pick = &three; three[0]|three[1]|three[2] == 0 {
			pick = &open
		}
	}
	k := 0
	for pick[k] == 0 {
		k++
	}
	cell := bits.TrailingZeros32(pick[k])
	start := 0
	if s.rng != nil {
		k, cell = s.pickRandom(pick)
		start = s.rng.Intn(9)
	}
	for i := range 9 {
		d := start + i
		if d >= 9 {
			d -= 9
		}
		if st.b[3*d+k]>>cell&1 == 0 {
			continue
		}
		next := *st
		before := s.found
		if next.set(d, k, cell) {
			s.search(&next)
		}
		if s.found == before {
			s.Backtracks++
		}
		if s.found >= s.limit {
			return
		}
	}
}

func (s *Solver) pickRandom(pick *[3]uint32) (k, cell int) {
	n := s.rng.Intn(bits.OnesCount32(pick[0]) + bits.OnesCount32(pick[1]) + bits.OnesCount32(pick[2]))
	for k = 0; n >= bits.OnesCount32(pick[k]); k++ {
		n -= bits.OnesCount32(pick[k])
	}
	x := pick[k]
	for ; n > 0; n-- {
		x &= x - 1
	}
	return k, bits.TrailingZeros32(x)
}

func (st *state) store(g *Grid) {
	for d := range 9 {
		for k := range 3 {
			for x := st.b[3*d+k]; x != 0; x &= x - 1 {
				g[27*k+bits.TrailingZeros32(x)] = uint8(d + 1)
			}
		}
	}
}
