package dataset

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"trmsweep/internal/sudoku"
)

// Histograms holds the distributions of ratings and clue counts of a set's puzzles.
type Histograms struct {
	Ratings, Clues map[int]int // value -> number of puzzles
}

// Grids returns the question and the answer of row i.
func (s *Set) Grids(i int) (question, answer sudoku.Grid) {
	s.Row(i, question[:], answer[:])
	for j := range question {
		question[j] = max(question[j], 1) - 1
		answer[j] = max(answer[j], 1) - 1
	}
	return question, answer
}

// Histograms rates up to limit puzzles (0 = all), evenly spread over the set, on all
// cores. It returns the error of ctx if that ends first.
func (s *Set) Histograms(ctx context.Context, limit int) (Histograms, error) {
	n := s.groups
	if limit > 0 {
		n = min(n, limit)
	}
	ratings, clues := make([]int, n), make([]int, n)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			var solver sudoku.Solver
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				row, _ := s.Group(i * s.groups / n)
				q, _ := s.Grids(row)
				ratings[i], clues[i] = solver.Rate(&q), q.Clues()
			}
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return Histograms{}, err
	}
	h := Histograms{map[int]int{}, map[int]int{}}
	for i := range n {
		h.Ratings[ratings[i]]++
		h.Clues[clues[i]]++
	}
	return h, nil
}

// Histograms returns the histograms of the split. Ratings are those of the source, or computed ones if it has none.
func (s SplitSummary) Histograms() Histograms { return Histograms{s.Ratings, s.Clues} }

type bin struct {
	label string
	n     int
}

// ratingBins returns the bins 0, 1, 2-3, 4-7, ..., because ratings spread over orders of magnitude.
func (h Histograms) ratingBins() []bin {
	var out []bin
	top := 0
	for r := range h.Ratings {
		top = max(top, r)
	}
	for from, to := 0, 0; from <= top; from, to = to+1, max(1, 2*to+1) {
		b := bin{label: fmt.Sprintf("%d-%d", from, to)}
		if from == to {
			b.label = fmt.Sprint(from)
		}
		for r, n := range h.Ratings {
			if r >= from && r <= to {
				b.n += n
			}
		}
		out = append(out, b)
		if to == math.MaxInt { // the next bin would overflow
			break
		}
	}
	return out
}

func (h Histograms) clueBins() []bin {
	var out []bin
	for _, c := range slices.Sorted(maps.Keys(h.Clues)) {
		out = append(out, bin{fmt.Sprint(c), h.Clues[c]})
	}
	return out
}

// MeanRating returns the mean over the rated puzzles.
func (h Histograms) MeanRating() float64 {
	sum, n := 0.0, 0
	for _, r := range slices.Sorted(maps.Keys(h.Ratings)) { // a fixed order gives the same sum each time
		sum += float64(r) * float64(h.Ratings[r])
		n += h.Ratings[r]
	}
	return sum / float64(max(n, 1))
}

// Text renders both histograms with bars of characters.
func (h Histograms) Text() string {
	var b strings.Builder
	part := func(title string, bins []bin) {
		most := 1
		for _, x := range bins {
			most = max(most, x.n)
		}
		fmt.Fprintf(&b, "%s\n", title)
		for _, x := range bins {
			fmt.Fprintf(&b, "%9s %6d %s\n", x.label, x.n, strings.Repeat("#", (x.n*40+most-1)/most))
		}
	}
	part(fmt.Sprintf("rating (backtracks), mean %.1f", h.MeanRating()), h.ratingBins())
	part("clues", h.clueBins())
	return b.String()
}

// SVG renders both histograms in one picture.
func (h Histograms) SVG() []byte {
	const (
		width  = 360.0
		height = 200.0
		left   = 40.0
		bottom = 170.0
	)
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" font-family="sans-serif" font-size="9">`+"\n",
		2*width, height)
	fmt.Fprintf(&b, `<rect width="%g" height="%g" fill="white"/>`+"\n", 2*width, height)
	for i, p := range []struct {
		title string
		bins  []bin
	}{{fmt.Sprintf("Rating (backtracks), mean %.1f", h.MeanRating()), h.ratingBins()}, {"Clues", h.clueBins()}} {
		most := 1
		for _, x := range p.bins {
			most = max(most, x.n)
		}
		x0 := float64(i)*width + left
		step := (width - left - 10) / float64(max(len(p.bins), 1))
		fmt.Fprintf(&b, `<text x="%g" y="14" font-size="12">%s</text>`+"\n", x0, p.title)
		fmt.Fprintf(&b, `<text x="%g" y="30" text-anchor="end">%d</text><text x="%g" y="%g" text-anchor="end">0</text>`+"\n",
			x0-4, most, x0-4, bottom)
		fmt.Fprintf(&b, `<path d="M%g 24V%gH%g" fill="none" stroke="black"/>`+"\n", x0, bottom, x0+step*float64(len(p.bins)))
		for j, x := range p.bins {
			hgt := (bottom - 26) * float64(x.n) / float64(most)
			at := x0 + step*float64(j)
			fmt.Fprintf(&b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="#4c78a8"><title>%s: %d puzzles</title></rect>`+"\n",
				at+1, bottom-hgt, max(step-2, 1), hgt, x.label, x.n)
			fmt.Fprintf(&b, `<text x="%.1f" y="%g" text-anchor="middle" font-size="7">%s</text>`+"\n", at+step/2, bottom+11, x.label)
		}
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}
