package sudoku

// Equivalent says whether a symmetry turns a into b. It is exact, whereas equal fingerprints
// only make it likely.
func Equivalent(a, b *Grid) bool {
	t := Transform{Digits: identity.Digits, Transpose: true, Rows: identity.Rows, Cols: identity.Cols}
	turned := t.Apply(a)
	return newMatch(a, b).bands(0) || newMatch(&turned, b).bands(0)
}

var identity = func() (t Transform) {
	for i := range t.Digits {
		t.Digits[i] = uint8(i)
	}
	for i := range t.Rows {
		t.Rows[i], t.Cols[i] = uint8(i), uint8(i)
	}
	return t
}()

// match searches for an assignment of rows, columns and digits of a that gives b, without a transpose.
type match struct {
	a, b           *Grid
	rows           [9]uint8 // row of a for each row of b
	bandsUsed      uint8    // bit set of bands of a
	stacksUsed     uint8
	to, from       [10]uint8 // digits of a -> digits of b, and back; 0 = undecided
	cluesA, cluesB [9]int    // number of clues in each row
}

func newMatch(a, b *Grid) *match {
	m := &match{a: a, b: b}
	for i := range a {
		if a[i] != 0 {
			m.cluesA[i/9]++
		}
		if b[i] != 0 {
			m.cluesB[i/9]++
		}
	}
	return m
}

var orders = [6][3]uint8{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}}

// bands chooses the rows of a for band k of b and for the bands after it. It returns false if no choice gives b.
func (m *match) bands(k int) bool {
	if k == 3 {
		return m.stacks(0)
	}
	for band := range uint8(3) {
		if m.bandsUsed>>band&1 != 0 {
			continue
		}
		m.bandsUsed |= 1 << band
		for _, o := range orders {
			fits := true
			for i, line := range o {
				m.rows[3*k+i] = 3*band + line
				fits = fits && m.cluesA[3*band+line] == m.cluesB[3*k+i]
			}
			if fits && m.bands(k+1) {
				return true
			}
		}
		m.bandsUsed &^= 1 << band
	}
	return false
}

// stacks chooses the columns of a for stack k of b and for the stacks after it.
func (m *match) stacks(k int) bool {
	if k == 3 {
		return true
	}
	for stack := range uint8(3) {
		if m.stacksUsed>>stack&1 != 0 {
			continue
		}
		m.stacksUsed |= 1 << stack
		for _, o := range orders {
			to, from := m.to, m.from
			fits := true
			for i, line := range o {
				if fits = m.column(int(3*stack+line), 3*k+i); !fits {
					break
				}
			}
			if fits && m.stacks(k+1) {
				return true
			}
			m.to, m.from = to, from
		}
		m.stacksUsed &^= 1 << stack
	}
	return false
}

// column says whether column ca of a can become column cb of b. If so, it records the digits.
func (m *match) column(ca, cb int) bool {
	for i, r := range m.rows {
		x, y := m.a[9*int(r)+ca], m.b[9*i+cb]
		switch {
		case x == 0 && y == 0:
		case x == 0 || y == 0:
			return false
		case m.to[x] == 0 && m.from[y] == 0:
			m.to[x], m.from[y] = y, x
		case m.to[x] != y || m.from[y] != x:
			return false
		}
	}
	return true
}
