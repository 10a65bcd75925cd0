package sudoku

// RatingOrders is the number of orders that Rate averages over.
const RatingOrders = 8

// Rate measures the difficulty of q: the number of guesses that a search must take back
// before it has proved that q has one solution. The search propagates (locked candidates,
// hidden singles, naked singles), then guesses on a random cell of those with two
// candidates (else three, else any) and tries its digits from a random start. A guess
// counts if no solution has it. The mean over RatingOrders random orders is rounded half
// up. The draws are keyed by the puzzle, so that a puzzle has one rating. The ratings of
// sudoku-extreme have the same meaning but come from another solver, so the scales differ.
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
