package cpu

import "slices"

// allocateSlots gives slots to the registers that are not direct. A slot is free again after its register's last use; scalars, which are
// spread over a slot once, keep theirs.
func (l *fusedLoop) allocateSlots(direct []bool) {
	last := make([]int, len(l.registers))
	for i, s := range l.program {
		for _, r := range s.operands() {
			last[r] = i
		}
	}
	var free []int
	assign := func(r int) {
		if l.registers[r].slot >= 0 || direct[r] {
			return
		}
		if len(free) == 0 {
			free = append(free, l.slots)
			l.slots++
		}
		l.registers[r].slot = free[len(free)-1]
		free = free[:len(free)-1]
	}
	for _, s := range l.program {
		if s.load && l.registers[s.dst].scalar {
			assign(s.dst)
		}
	}
	for i, s := range l.program {
		for _, r := range s.operands() {
			q := l.registers[r]
			if last[r] == i && q.slot >= 0 && !q.scalar && !slices.Contains(free, q.slot) {
				free = append(free, q.slot)
			}
		}
		for _, r := range s.results() {
			assign(r) // perhaps the slot of an operand: every kernel reads an element before it writes it
		}
	}
}
