package sudoku

// RatingOrders is the number of orders that Rate averages over.
const RatingOrders = 8

// Rate is how hard q is: the guesses that a search must take back before it has
// proved that q has one solution. The search propagates (locked candidates, hidden
// singles, naked singles), then guesses on a cell drawn from those with two
// candidates (else three, else any) and tries its digits from a drawn start; a
// guess counts when no solution lies below it. The mean over RatingOrders orders
// is rounded half up. The draws are keyed by the puzzle, so a puzzle has one
// rating. It has the meaning of the ratings of sudoku-extreme, whose solver is
// another one, so the scales differ.
func (s *Solver) Rate(q *Grid) int {
	key := q.hash()
	total := 0
	for i := range RatingOrders {
		r := NewRand(key, uint64(i))
		s.rng = &r
		s.Count(q, 2)
		total += s.Backtracks
	}
	s.rng = nil
	return (total + RatingOrders/2) / RatingOrders
}

func (g *Grid) hash() uint64 {
	var h uint64
	for _, d := range g {
		h = mix64(h*31 + uint64(d) + 0x9e3779b97f4a7c15)
	}
	return h
}
