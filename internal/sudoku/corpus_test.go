package sudoku

import (
	"sync"
	"testing"
	"time"
)

// clues17 are puzzles of 17 clues from Gordon Royle's collection.
var clues17 = []string{
	"000000010400000000020000000000050407008000300001090000300400200050100000000806000",
	"000000010400000000020000000000050604008000300001090000300400200050100000000807000",
	"000000012000035000000600070700000300000400800100000000000120000080000040050000600",
	"000000012003600000000007000410020000000500300700000600280000040000300500000000000",
	"000000012008030000000000040120500000000004700060000000507000300000620000000100000",
	"000000012040050000000009000070600400000100000000000050000087500601000300200000000",
	"000000012050400000000000030700600400001000000000080000920000800000510700000003000",
	"000000012300000060000040000900000500000001070020000000000350400001400800060000000",
	"000000012400090000000000050070200000600000400000108000018000000000030700502000000",
	"000000012500008000000700000600120000700000450000030000030000800000500700020000000",
	"000000012700060000000000050080200000600000400000109000019000000000030800502000000",
	"000000012800040000000000060090200000700000400000501000015000000000030900602000000",
	"000000012980000000000600000100700080402000000000300600070000300050040000000010000",
	"000000013000030080070000000000206000030000900000010000600500204000400700100000000",
	"000000013000200000000000080000760200008000400010000000200000750600340000000008000",
	"000000013000500070000802000000400900107000000000000200890000050040000600000010000",
	"000000013000700060000508000000400800106000000000000200740000050020000400000010000",
	"000000013000700060000509000000400900106000000000000200740000050080000400000010000",
	"000000013000800070000502000000400900107000000000000200890000050040000600000010000",
	"000000013020500000000000000103000070000802000004000000000340500670000200000010000",
}

// hardest are puzzles that were called the hardest of their time.
var hardest = []string{
	"8..........36......7..9.2...5...7.......457.....1...3...1....68..85...1..9....4..",
	"1....7.9..3..2...8..96..5....53..9...1..8...26....4...3......1..4......7..7...3..",
	".......39.....1..5..3.5.8....8.9...6.7...2...1..4.......9.8..5..2....6..4..7.....",
	"1.......2.9.4...5...6...7...5.9.3.......7.......85..4.7.....6...3...9.8...2.....1",
	".......12........3..23..4....18....5.6..7.8.......9.....85.....9...4.5..47...6...",
	"98.7.....7.....6....6.5.....4...5.3...79..5......2...1..85..9......1...4.....3.2.",
	"98.7.....6.....87...7.....5.4..3.5....65...9......2..1..86...5.....1.3.......4..2",
	"12..3....4....1.2...52..1..5..4..2......6..7......3..8.5....9....9.7..3......8..6",
	"12.3.....4.5...6...7.....2.6..1..3....453.........8..9...45.1.........8......2..7",
	"..3..6.8....1..2......7...4..9..8.6..3..4...1.7.2.....3....5.....5...6..98.....5.",
	".......12......345..3..46....2..1.3..7..6....8..9.......5..2..4.6..8....9..7.....",
}

func TestCorporaHaveOneSolution(t *testing.T) {
	var s Solver
	for _, c := range [][]string{clues17, hardest} {
		for _, line := range c {
			q, err := Parse(line)
			if err != nil || s.Count(&q, 2) != 1 {
				t.Errorf("%s: %d solutions, %v", line, s.found, err)
			}
		}
	}
	for _, line := range clues17 {
		if q, _ := Parse(line); q.Clues() != 17 {
			t.Errorf("%s has %d clues", line, q.Clues())
		}
	}
}

func parseAll(lines []string) (out []Grid) {
	for _, l := range lines {
		q, err := Parse(l)
		if err != nil {
			panic(err)
		}
		out = append(out, q)
	}
	return out
}

func generateAll(n, rating int) (out []Grid) {
	var s Solver
	for i := range n {
		out = append(out, s.Generate(rating, 3, uint64(i)).Question)
	}
	return out
}

// easyAll are puzzles with ten clues more than they need.
func easyAll(n int) (out []Grid) {
	var s Solver
	for i := range n {
		p, r := s.Generate(0, 8, uint64(i)), NewRand(uint64(i))
		for extra := 10; extra > 0; {
			if c := r.Intn(81); p.Question[c] == 0 {
				p.Question[c] = p.Answer[c]
				extra--
			}
		}
		out = append(out, p.Question)
	}
	return out
}

// variants are n symmetric ones of each: a branch predictor learns a short list by heart.
func variants(qs []Grid, n int) (out []Grid) {
	r := NewRand(1)
	for range n {
		for i := range qs {
			t := RandomTransform(&r)
			out = append(out, t.Apply(&qs[i]))
		}
	}
	return out
}

var corpora = []struct {
	name string
	list func() []Grid
}{
	{"20x50 of 17 clues", sync.OnceValue(func() []Grid { return variants(parseAll(clues17), 50) })},
	{"11x20 hardest", sync.OnceValue(func() []Grid { return variants(parseAll(hardest), 20) })},
	{"200 minimal", sync.OnceValue(func() []Grid { return generateAll(200, 0) })},
	{"400 easy", sync.OnceValue(func() []Grid { return easyAll(400) })},
	{"100 of rating 20", sync.OnceValue(func() []Grid { return generateAll(100, 20) })},
}

// BenchmarkSolve proves solutions to be the only ones, on one core. The metric is
// that of the fastest pass in pieces of 20 puzzles: a busy machine hardly changes it.
func BenchmarkSolve(b *testing.B) {
	for _, c := range corpora {
		b.Run(c.name, func(b *testing.B) {
			const piece = 20
			qs := c.list()
			best := make([]time.Duration, len(qs)/piece)
			for i := range best {
				best[i] = time.Hour
			}
			var s Solver
			b.ResetTimer()
			for range b.N {
				for j := range best {
					start := time.Now()
					for i := piece * j; i < piece*(j+1); i++ {
						s.Count(&qs[i], 2)
					}
					best[j] = min(best[j], time.Since(start))
				}
			}
			b.StopTimer()
			var sum time.Duration
			for _, d := range best {
				sum += d
			}
			guesses := 0
			for i := range qs {
				s.Count(&qs[i], 2)
				guesses += s.Backtracks
			}
			b.ReportMetric(float64(len(best)*piece)/sum.Seconds(), "puzzles/s")
			b.ReportMetric(float64(guesses)/float64(len(qs)), "backtracks")
		})
	}
}
