package cpu

import "slices"

// assignBuffers gives every storage of the arena its place there. It returns these storages and the size of the arena in lines.
func (c *compiler) assignBuffers() (all []*storage, lines int) {
	for _, st := range c.storages {
		if st.space == inArena {
			all = append(all, st)
		}
	}
	return all, assignLines(all)
}

// assignLines sets the first line of each storage so that storages that are live at the same time do not overlap. It takes the largest
// first and places each as low as possible. It returns the number of lines taken.
func assignLines(all []*storage) (top int) {
	order := slices.Clone(all)
	slices.SortStableFunc(order, func(a, b *storage) int { return b.lines() - a.lines() })
	var placed []*storage // by first line
	for _, st := range order {
		line := 0
		for _, p := range placed {
			if p.first <= st.last && st.first <= p.last {
				if p.line >= line+st.lines() {
					break
				}
				line = max(line, p.line+p.lines())
			}
		}
		st.line = line
		i, _ := slices.BinarySearchFunc(placed, line, func(p *storage, line int) int { return p.line - line })
		placed = slices.Insert(placed, i, st)
		top = max(top, line+st.lines())
	}
	return top
}

// lines is the size of a storage in lines of 64 bytes.
func (st *storage) lines() int {
	size := st.dt.Size()
	if st.isMask() {
		size = 4
	}
	return (st.n*size + 63) / 64
}
