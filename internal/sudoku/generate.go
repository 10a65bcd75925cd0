package sudoku

import "math"

// Puzzle is a question with exactly one solution.
type Puzzle struct {
	Question, Answer Grid
	Rating           int // see Solver.Rate
}

// RandomSolution draws a complete grid from r.
func (s *Solver) RandomSolution(r *Rand) Grid {
	var q Grid
	digits := []uint8{1, 2, 3, 4, 5, 6, 7, 8, 9}
	Shuffle(r, digits)
	copy(q[:9], digits)
	s.rng = r
	defer func() { s.rng = nil }()
	for {
		g := q
		for range 12 { // a few random clues, because the search alone would prefer some grids
			if i := 9 + r.Intn(72); g[i] == 0 {
				g[i] = uint8(1 + r.Intn(9))
				if s.Count(&g, 1) == 0 {
					g[i] = 0
				}
			}
		}
		if s.Count(&g, 1) == 1 {
			return s.first
		}
	}
}

// Minimize removes clues in random order as long as there is only one solution. No clue of the result can be removed.
func (s *Solver) Minimize(q Grid, r *Rand) Grid {
	order := make([]uint8, 0, 81)
	for i, d := range q {
		if d != 0 {
			order = append(order, uint8(i))
		}
	}
	Shuffle(r, order)
	for _, i := range order {
		if s.redundant(&q, int(i)) {
			q[i] = 0
		}
	}
	return q
}

// redundant says whether q, which has one solution, still has only that one without the clue
// in cell i, that is, whether no solution has another digit there.
func (s *Solver) redundant(q *Grid, i int) bool {
	d := q[i]
	q[i] = 0
	var st state
	ok := st.load(q)
	q[i] = d
	st.b[d-1][i/27] &^= 1 << (i % 27)
	s.Backtracks, s.found, s.limit = 0, 0, 1
	if ok {
		s.search(&st)
	}
	return s.found == 0
}

// Minimal says whether q has one solution, and several if any clue is removed.
func (s *Solver) Minimal(q Grid) bool {
	if !s.Unique(&q) {
		return false
	}
	for i, d := range q {
		if d != 0 && s.redundant(&q, i) {
			return false
		}
	}
	return true
}

// complete adds clues of one solution of q until it is the only one. It returns the puzzle and the solution.
func (s *Solver) complete(q Grid, r *Rand) (Grid, Grid) {
	s.rng = r
	s.Count(&q, 1)
	s.rng = nil
	answer := s.first
	for s.Count(&q, 2) > 1 {
		other := s.first
		if other == answer {
			s.rng = r
			s.Count(&q, 1)
			s.rng = nil
			if other = s.first; other == answer {
				i := r.Intn(81)
				q[i] = answer[i]
				continue
			}
		}
		var differ [81]int
		n := 0
		for i := range q {
			if answer[i] != other[i] {
				differ[n] = i
				n++
			}
		}
		i := differ[r.Intn(n)]
		q[i] = answer[i]
	}
	return q, answer
}

// Generate draws a minimal puzzle with a rating of at least minRating. Hard puzzles are
// found by hill climbing: remove a clue of the puzzle, complete it to another solution,
// minimize it, keep the result if it is not easier; start afresh after many steps
// without success. The result depends on the keys only.
func (s *Solver) Generate(minRating int, keys ...uint64) Puzzle {
	r := NewRand(keys...)
	return s.climb(minRating, math.MaxInt, &r)
}

// patience returns the number of steps without success after which a climb starts afresh.
// For ratings up to 30, 100 steps give as many puzzles per second as any other number;
// for higher ratings, 1000 steps give two to three times as many as 100.
func patience(least int) int {
	if least > 30 {
		return 1000
	}
	return 100
}

// climb searches for a puzzle with a rating from least to most.
func (s *Solver) climb(least, most int, r *Rand) Puzzle {
	for {
		p := s.fresh(r)
		for stuck := 0; p.Rating < least && stuck < patience(least); {
			if s.Stop != nil && s.Stop() {
				return Puzzle{}
			}
			next := s.neighbour(p.Question, r)
			if next.Rating > p.Rating && next.Rating <= most {
				stuck = 0
			} else {
				stuck++
			}
			if next.Rating >= p.Rating && next.Rating <= most {
				p = next
			}
		}
		if p.Rating >= least && p.Rating <= most {
			return p
		}
	}
}

func (s *Solver) fresh(r *Rand) Puzzle {
	answer := s.RandomSolution(r)
	q := s.Minimize(answer, r)
	return Puzzle{q, answer, s.Rate(&q)}
}

func (s *Solver) neighbour(q Grid, r *Rand) Puzzle {
	i := r.Intn(81)
	for q[i] == 0 {
		i = r.Intn(81)
	}
	q[i] = 0
	q, answer := s.complete(q, r)
	q = s.Minimize(q, r)
	return Puzzle{q, answer, s.Rate(&q)}
}
