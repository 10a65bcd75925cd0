// Package sudoku implements 9x9 Sudoku: grids, a bit-parallel solver, a rating, a
// generator and the symmetries of the puzzle. It uses neither files nor the clock, and all
// randomness comes from a seed.
package sudoku

import (
	"fmt"
	"strings"
)

// Grid is 81 cells in row-major order: 0 is a blank, 1 to 9 are digits.
type Grid [81]uint8

// Parse parses 81 cells: a digit 1 to 9, or one of the signs that public lists use for a
// blank: '.', '0', '*' and '_'. Errors do not quote the text.
func Parse[T string | []byte](s T) (Grid, error) {
	var g Grid
	if len(s) != 81 {
		return g, fmt.Errorf("puzzle has %d characters, want 81", len(s))
	}
	for i := range 81 {
		switch c := s[i]; {
		case c == '.' || c == '0' || c == '*' || c == '_':
		case c >= '1' && c <= '9':
			g[i] = c - '0'
		default:
			return g, fmt.Errorf("puzzle has neither a digit nor a blank ('.', 0, '*' or '_') at position %d", i+1)
		}
	}
	return g, nil
}

// String formats the grid as 81 characters, with '.' for a blank.
func (g Grid) String() string {
	var b [81]byte
	for i, d := range g {
		if b[i] = '0' + d; d == 0 {
			b[i] = '.'
		}
	}
	return string(b[:])
}

// Pretty formats the grid in eleven lines, with lines between the boxes.
func (g Grid) Pretty() string {
	var b strings.Builder
	s := g.String()
	for r := range 9 {
		if r == 3 || r == 6 {
			b.WriteString("------+-------+------\n")
		}
		row := s[9*r : 9*r+9]
		for c := range 9 {
			if c == 3 || c == 6 {
				b.WriteString("| ")
			}
			b.WriteByte(row[c])
			if c < 8 {
				b.WriteByte(' ')
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// Clues returns the number of cells that are not blank.
func (g Grid) Clues() int {
	n := 0
	for _, d := range g {
		if d != 0 {
			n++
		}
	}
	return n
}

// Complete says whether all cells are filled and every row, column and box has each digit once.
func (g *Grid) Complete() bool {
	var row, col, box [9]uint16
	for i, d := range g {
		if d == 0 || d > 9 {
			return false
		}
		bit := uint16(1) << d
		r, c := i/9, i%9
		row[r] |= bit
		col[c] |= bit
		box[r/3*3+c/3] |= bit
	}
	for i := range 9 {
		if row[i] != 0x3fe || col[i] != 0x3fe || box[i] != 0x3fe {
			return false
		}
	}
	return true
}

// Extends says whether g has every clue of question.
func (g *Grid) Extends(question *Grid) bool {
	for i, d := range question {
		if d != 0 && g[i] != d {
			return false
		}
	}
	return true
}
