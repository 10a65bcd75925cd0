package sudoku

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Puzzles that are public knowledge, with what is known of them.
var known = []struct {
	name, q, a string
}{
	{"easy", "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79",
		"534678912672195348198342567859761423426853791713924856961537284287419635345286179"},
	{"inkala 2012", "8..........36......7..9.2...5...7.......457.....1...3...1....68..85...1..9....4..",
		"812753649943682175675491283154237896369845721287169534521974368438526917796318452"},
	{"17 clues", "000000010400000000020000000000050407008000300001090000300400200050100000000806000",
		"693784512487512936125963874932651487568247391741398625319475268856129743274836159"},
}

func TestSolvesKnownPuzzles(t *testing.T) {
	for _, k := range known {
		q, err := Parse(k.q)
		if err != nil {
			t.Fatal(err)
		}
		var s Solver
		if n := s.Count(&q, 2); n != 1 || s.First().String() != k.a {
			t.Errorf("%s: %d solutions, first %s, want %s", k.name, n, s.First(), k.a)
		}
	}
}

func TestCountsSolutions(t *testing.T) {
	a, _ := Parse(known[0].a)
	var empty Grid
	bad := a
	bad[0], bad[1] = 0, a[0]
	var s Solver
	for _, c := range []struct {
		name  string
		g     Grid
		limit int
		want  int
	}{{"complete", a, 2, 1}, {"empty", empty, 50, 50}, {"contradiction", bad, 2, 0}, {"limit 0", a, 0, 0},
		{"twice in a row", Grid{0: 7, 8: 7}, 2, 0}, {"twice in a column", Grid{0: 7, 72: 7}, 2, 0}, {"twice in a box", Grid{0: 7, 10: 7}, 2, 0}} {
		if got := s.Count(&c.g, c.limit); got != c.want {
			t.Errorf("%s: %d solutions, want %d", c.name, got, c.want)
		}
	}
}

// Counts are compared with a plain backtracking search on puzzles with several solutions.
func TestCountAgreesWithPlainSearch(t *testing.T) {
	var s Solver
	for i := range uint64(60) {
		p := s.Generate(0, 5, i)
		r := NewRand(i)
		q := p.Question
		for dropped := 0; dropped < int(i%3); {
			if c := r.Intn(81); q[c] != 0 {
				q[c], dropped = 0, dropped+1
			}
		}
		if got, want := s.Count(&q, 40), plainCount(&q, 40); got != want {
			t.Fatalf("%s: %d solutions, plain search finds %d", q, got, want)
		}
	}
}

// The last candidate of a cell is searched in place; what it costs must count as if it were not.
func TestBacktracksAreTheRefutedGuesses(t *testing.T) {
	var plain func(s *Solver, st state)
	plain = func(s *Solver, st state) {
		if !st.propagate() {
			return
		}
		if st.solved[0]&st.solved[1]&st.solved[2] == full {
			s.found++
			return
		}
		k, cell, _ := s.pick(&st)
		for d := range 9 {
			if st.b[d][k]>>cell&1 == 0 {
				continue
			}
			next, before := st, s.found
			next.set(d, k, cell)
			plain(s, next)
			if s.found == before {
				s.Backtracks++
			}
			if s.found >= s.limit {
				return
			}
		}
	}
	for i, q := range append(parseAll(hardest), Grid{0: 1, 20: 5, 77: 9}) {
		for _, limit := range []int{1, 2, 50} {
			var s Solver
			p := Solver{limit: limit}
			s.Count(&q, limit)
			var st state
			if !st.load(&q) {
				t.Fatal("no start")
			}
			plain(&p, st)
			if s.Backtracks != p.Backtracks || s.found != p.found {
				t.Errorf("puzzle %d, limit %d: %d backtracks and %d solutions, by recursion %d and %d", i, limit, s.Backtracks, s.found, p.Backtracks,
					p.found)
			}
		}
	}
}

// Ratings are in datasets: they change only with the format's version.
func TestRatingsAreFrozen(t *testing.T) {
	want := []int{173, 74, 231, 161, 342, 210, 147, 209, 209, 209, 156}
	for i, q := range parseAll(hardest) {
		var s Solver
		if got := s.Rate(&q); got != want[i] {
			t.Errorf("puzzle %d is rated %d, was %d", i, got, want[i])
		}
	}
}

// together says whether two cells lie in one row, column or box.
func together(i, j int) bool {
	box := i/27 == j/27 && i%9/3 == j%9/3
	return box || i/9 == j/9 || i%9 == j%9
}

func plainCount(g *Grid, limit int) int {
	best, bestMask, fewest := -1, uint16(0), 10
	for i, d := range g {
		if d != 0 {
			continue
		}
		var used uint16
		for j := range 81 {
			if together(i, j) {
				used |= 1 << g[j]
			}
		}
		n := 0
		for d := 1; d <= 9; d++ {
			if used>>d&1 == 0 {
				n++
			}
		}
		if n < fewest {
			best, bestMask, fewest = i, used, n
		}
	}
	if best < 0 {
		return 1
	}
	total := 0
	for d := uint8(1); d <= 9 && total < limit; d++ {
		if bestMask>>d&1 == 0 {
			g[best] = d
			total += plainCount(g, limit-total)
		}
	}
	g[best] = 0
	return total
}

func TestGenerate(t *testing.T) {
	var s, other Solver
	for i := range uint64(8) {
		p := s.Generate(10, 1, i)
		if !s.Minimal(p.Question) || !p.Answer.Complete() || !p.Answer.Extends(&p.Question) || p.Rating < 10 {
			t.Errorf("puzzle %d is not what was asked: %+v", i, p)
		}
		if got := other.Rate(&p.Question); got != p.Rating {
			t.Errorf("rated %d and %d", p.Rating, got)
		}
		if again := other.Generate(10, 1, i); again != p {
			t.Errorf("puzzle %d differs the second time", i)
		}
	}
}

// Minimize asks less of the search than to prove each puzzle anew; it must decide the same.
func TestMinimizeIsExact(t *testing.T) {
	var s Solver
	for i := range uint64(20) {
		r := NewRand(1, i)
		q := s.Minimize(s.RandomSolution(&r), &r)
		if !s.Unique(&q) {
			t.Errorf("%s has %d solutions", q, s.Count(&q, 9))
		}
		for j, d := range q {
			if d == 0 {
				continue
			}
			less := q
			less[j] = 0
			if s.Unique(&less) {
				t.Errorf("%s has a clue too many at %d", q, j)
			}
		}
	}
}

func TestGenerateLike(t *testing.T) {
	var s Solver
	p := Profile{EasyPercent: 50, EasyExtra: 20, Hard: []int{5, 9}}
	easy, redundant, hard := 0, 0, map[int]int{}
	for i := range uint64(60) {
		x := s.GenerateLike(p, false, i)
		if again := s.GenerateLike(p, false, i); again != x {
			t.Fatalf("puzzle %d differs the second time", i)
		}
		if !s.Unique(&x.Question) {
			t.Errorf("puzzle %d: %s has more than one solution", i, x.Question)
		}
		solved := Puzzle{Question: x.Question, Answer: s.First()}
		solved.Rating = s.Rate(&x.Question)
		if diff := cmp.Diff(solved, x); diff != "" {
			t.Errorf("puzzle %d (-want +got):\n%s", i, diff)
		}
		switch {
		case !s.Minimal(x.Question):
			redundant++
		case x.Rating >= 9:
			hard[9]++
		case x.Rating >= 5:
			hard[5]++
		default:
			easy++
		}
		if y := s.GenerateLike(p, true, i); !s.Minimal(y.Question) {
			t.Errorf("puzzle %d is not minimal", i)
		}
	}
	if easy == 0 || redundant == 0 || hard[5] == 0 || hard[9] == 0 || easy+redundant > 45 {
		t.Errorf("%d easy, %d with clues too many, hard %v", easy, redundant, hard)
	}
}

func TestFingerprintIsInvariant(t *testing.T) {
	var s Solver
	seen := map[uint64]int{}
	for i := range 100 {
		p := s.Generate(0, 2, uint64(i))
		f := p.Question.Fingerprint()
		if j, dup := seen[f]; dup {
			t.Errorf("puzzles %d and %d share a fingerprint", i, j)
		}
		seen[f] = i
		r := NewRand(uint64(i))
		for range 20 {
			tr := RandomTransform(&r)
			q, a := tr.Apply(&p.Question), tr.Apply(&p.Answer)
			if q.Fingerprint() != f {
				t.Fatalf("fingerprint changes under %+v", tr)
			}
			if !a.Complete() || !a.Extends(&q) {
				t.Fatalf("%+v breaks the puzzle", tr)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, blank := range []string{".", "0", "*", "_"} {
		f.Add(strings.ReplaceAll(known[0].q, ".", blank))
	}
	f.Fuzz(func(t *testing.T, s string) {
		g, err := Parse(s)
		if err != nil {
			return
		}
		if back, err := Parse(g.String()); err != nil || back != g {
			t.Errorf("%q does not survive printing", s)
		}
	})
}

func BenchmarkGenerate20(b *testing.B) {
	var s Solver
	for i := range b.N {
		s.Generate(20, 9, uint64(i))
	}
}

func TestEquivalent(t *testing.T) {
	var s Solver
	r := NewRand(4)
	for i := range 30 {
		p := s.Generate(0, 6, uint64(i))
		other := s.Generate(0, 7, uint64(i))
		tr := RandomTransform(&r)
		q, a := tr.Apply(&p.Question), tr.Apply(&p.Answer)
		if !Equivalent(&p.Question, &q) || !Equivalent(&q, &p.Question) || !Equivalent(&p.Answer, &a) {
			t.Fatalf("not equivalent under %+v", tr)
		}
		if Equivalent(&p.Question, &other.Question) || Equivalent(&p.Question, &p.Answer) {
			t.Errorf("puzzle %d: two different puzzles are equivalent", i)
		}
		for { // another digit in a cell
			c := r.Intn(81)
			if q[c] != 0 {
				q[c] = q[c]%9 + 1
				break
			}
		}
		if Equivalent(&p.Question, &q) != (p.Question.Fingerprint() == q.Fingerprint()) {
			t.Errorf("puzzle %d with a clue changed: %s", i, q)
		}
	}
}

// Grids that agree in many counts: two cells
// in one box, in one band, or in neither.
func TestEquivalentByHand(t *testing.T) {
	base := Grid{0: 1, 12: 1}
	for _, c := range []struct {
		name string
		g    Grid
		want bool
	}{
		{"itself", base, true},
		{"another digit", Grid{0: 5, 12: 5}, true},
		{"transposed", Grid{0: 1, 28: 1}, true},
		{"one box", Grid{60: 1, 80: 1}, false},
		{"another band", Grid{60: 1, 66: 1}, true},
		{"no line or box shared", Grid{0: 1, 30: 1}, false},
		{"two digits", Grid{0: 1, 12: 2}, false},
		{"one clue", Grid{0: 1}, false},
	} {
		if got := Equivalent(&base, &c.g); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestStopEndsCount(t *testing.T) {
	calls := 0
	s := Solver{Stop: func() bool { calls++; return calls == 3 }}
	var empty Grid
	if n := s.Count(&empty, 1<<62); n != 3*4096 || calls != 3 {
		t.Errorf("%d solutions counted after %d questions", n, calls)
	}
}

func TestStopEndsGenerate(t *testing.T) {
	calls := 0
	s := Solver{Stop: func() bool { calls++; return calls > 3 }}
	if diff := cmp.Diff(Puzzle{}, s.Generate(100000, 1)); diff != "" {
		t.Errorf("puzzle (-want +got):\n%s", diff)
	}
	if calls != 4 {
		t.Errorf("%d questions, want 4", calls)
	}
}

func BenchmarkEquivalent(b *testing.B) {
	var s Solver
	r := NewRand(4)
	p := s.Generate(0, 6, 1)
	tr := RandomTransform(&r)
	q := tr.Apply(&p.Question)
	for range b.N {
		Equivalent(&p.Question, &q)
	}
}

func BenchmarkFingerprint(b *testing.B) {
	var s Solver
	p := s.Generate(0, 6, 1)
	for range b.N {
		p.Question.Fingerprint()
	}
}

// Whatever the grid, solutions are solutions, and symmetries have as many.
func FuzzSolve(f *testing.F) {
	for _, k := range known {
		f.Add(k.q, uint64(1))
	}
	for _, q := range append(hardest[:3:3], "11.......", ".1.1", "123456789.......1") {
		f.Add(q, uint64(2))
	}
	f.Fuzz(func(t *testing.T, text string, seed uint64) {
		var q Grid
		for i := range min(len(text), 81) {
			if c := text[i]; c >= '1' && c <= '9' {
				q[i] = c - '0'
			}
		}
		var s Solver
		const limit = 3
		n := s.Count(&q, limit)
		first := s.First()
		solved := first.Complete() && first.Extends(&q)
		wrong := n > 0 && !solved
		if n < 0 || n > limit || wrong {
			t.Fatalf("%s: %d solutions, first %s", q, n, first)
		}
		r := NewRand(seed)
		tr := RandomTransform(&r)
		turned := tr.Apply(&q)
		if m := s.Count(&turned, limit); m != n {
			t.Fatalf("%s has %d solutions, turned into %s %d", q, n, turned, m)
		}
		if !Equivalent(&q, &turned) || q.Fingerprint() != turned.Fingerprint() {
			t.Fatalf("%s and %s are not the same to us", q, turned)
		}
		if q.Clues() >= 30 && consistent(&q) {
			if m := min(plainCount(&q, limit), limit); m != n {
				t.Fatalf("%s has %d solutions, by plain search %d", q, n, m)
			}
		}
	})
}

// consistent: no digit is twice in a row, column or box; plainCount relies on it.
func consistent(q *Grid) bool {
	for i, d := range q {
		for j := range i {
			if d != 0 && q[j] == d && together(i, j) {
				return false
			}
		}
	}
	return true
}
