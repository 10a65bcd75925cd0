package sudoku

import "math/bits"

// pick chooses the cell of the next guess, and the first digit to try.
func (s *Solver) pick(st *state) (k, cell, d int) {
	var two, three [3]uint32
	for k := range 3 {
		var c1, c2, c3, c4 uint32
		for d := range st.b {
			x := st.b[d][k]
			c4 |= c3 & x
			c3 |= c2 & x
			c2 |= c1 & x
			c1 |= x
		}
		two[k], three[k] = c2&^c3, c3&^c4
	}
	pool := &two
	if two[0]|two[1]|two[2] == 0 {
		if pool = &three; three[0]|three[1]|three[2] == 0 {
			for k := range 3 {
				pool[k] = full &^ st.solved[k]
			}
		}
	}
	switch {
	case s.rng != nil:
		k, cell = s.draw(pool)
		return k, cell, s.rng.Intn(9)
	case pool == &two:
		k, cell = st.mostHits(&two, &three)
		return k, cell, 0
	}
	for pool[k] == 0 {
		k++
	}
	return k, bits.TrailingZeros32(pool[k]), 0
}

// mostHits returns the cell with two candidates that has the largest product, over its
// digits, of the number of cells with two (counted four times) and three candidates that
// would lose the digit.
func (st *state) mostHits(two, three *[3]uint32) (k, cell int) {
	best := -1
	for j := range 3 {
		for z := two[j]; z != 0; z &= z - 1 {
			c := bits.TrailingZeros32(z)
			var has uint32
			for d := range st.b {
				has |= st.b[d][j] >> c & 1 << d
			}
			m := &tblPeers[27*j+c]
			n := st.hits(bits.TrailingZeros32(has), m, two, three) * st.hits(31-bits.LeadingZeros32(has), m, two, three)
			if n > best {
				best, k, cell = n, j, c
			}
		}
	}
	return k, cell
}

// hits returns the weight of the cells among the peers m that would lose digit d.
func (st *state) hits(d int, m, two, three *[3]uint32) int {
	p := &st.b[d%9]
	x0, x1, x2 := p[0]&m[0], p[1]&m[1], p[2]&m[2]
	return 4*(bits.OnesCount32(x0&two[0])+bits.OnesCount32(x1&two[1])+bits.OnesCount32(x2&two[2])) +
		bits.OnesCount32(x0&three[0]) + bits.OnesCount32(x1&three[1]) + bits.OnesCount32(x2&three[2]) + 1
}

// draw returns a random cell of pool.
func (s *Solver) draw(pool *[3]uint32) (k, cell int) {
	n := s.rng.Intn(bits.OnesCount32(pool[0]) + bits.OnesCount32(pool[1]) + bits.OnesCount32(pool[2]))
	for k = 0; n >= bits.OnesCount32(pool[k]); k++ {
		n -= bits.OnesCount32(pool[k])
	}
	x := pool[k]
	for ; n > 0; n-- {
		x &= x - 1
	}
	return k, bits.TrailingZeros32(x)
}
