package terminal

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Column is a column of a table.
type Column struct {
	Name string
	// Drop is the order in which columns are left out where the terminal is too narrow: 1 first, 0 never.
	Drop int
}

// Table is a table with a head. Every row has a cell for each column.
type Table struct {
	Columns []Column
	Rows    [][]string
}

const (
	gap      = 2 // blanks between columns
	leastCut = 8 // a cell is not shortened below this width
)

// Lines are the head and the rows, without trailing blanks. Where they do not fit the width, columns
// are left out, then the widest cells shortened. Width 0 does not limit them.
func (t Table) Lines(width int) []string {
	widths := t.widths()
	shown := make([]bool, len(widths))
	for i := range shown {
		shown[i] = true
	}
	for width > 0 && t.total(widths, shown) > width {
		least := t.leastImportant(shown)
		if least < 0 {
			break
		}
		shown[least] = false
	}
	if width > 0 {
		t.shorten(widths, shown, width)
	}
	head := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		head[i] = c.Name
	}
	var lines []string
	for _, row := range slices.Concat([][]string{head}, t.Rows) {
		lines = append(lines, Cut(line(row, widths, shown), width))
	}
	return lines
}

// line is one row, its cells padded to the widths.
func line(row []string, widths []int, shown []bool) string {
	var b strings.Builder
	for i, cell := range row {
		if !shown[i] {
			continue
		}
		cell = Cut(cell, widths[i])
		b.WriteString(cell)
		b.WriteString(strings.Repeat(" ", widths[i]+gap-utf8.RuneCountInString(cell)))
	}
	return strings.TrimRight(b.String(), " ")
}

// widths are the widths of the columns' widest cells.
func (t Table) widths() []int {
	widths := make([]int, len(t.Columns))
	for i, c := range t.Columns {
		widths[i] = utf8.RuneCountInString(c.Name)
		for _, row := range t.Rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	return widths
}

// total is the width of a line with the shown columns.
func (t Table) total(widths []int, shown []bool) int {
	sum := -gap
	for i, w := range widths {
		if shown[i] {
			sum += w + gap
		}
	}
	return sum
}

// leastImportant is the column to leave out next; -1 if none may be.
func (t Table) leastImportant(shown []bool) int {
	least := -1
	for i, c := range t.Columns {
		if !shown[i] || c.Drop == 0 {
			continue
		}
		if least < 0 || c.Drop < t.Columns[least].Drop {
			least = i
		}
	}
	return least
}

// shorten takes from the widest shown column what the line is too wide.
func (t Table) shorten(widths []int, shown []bool, width int) {
	for {
		excess := t.total(widths, shown) - width
		widest := -1
		for i, w := range widths {
			if !shown[i] {
				continue
			}
			if widest < 0 || w > widths[widest] {
				widest = i
			}
		}
		if excess <= 0 || widest < 0 || widths[widest] <= leastCut {
			return
		}
		widths[widest] = max(widths[widest]-excess, leastCut)
	}
}
