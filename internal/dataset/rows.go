package dataset

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"

	"trmsweep/internal/sudoku"
)

// row is one puzzle of a source.
type row struct {
	sudoku.Puzzle
	index     int64  // key of random draws: number of the row in a CSV, of the line in a list, from 0
	line      int64  // line in the file, from 1
	print     uint64 // fingerprint of the question, 0 = not computed
	solutions int    // number of solutions, if they are counted
}

// errRow is a fault of one row; reading may continue after it. Its message does not quote the file.
type errRow struct {
	line int64
	msg  string
}

func (e errRow) Error() string { return fmt.Sprintf("line %d: %s", e.line, e.msg) }

// maxRating is the greatest rating of a row: no puzzle comes near it, and sums of it do not overflow.
const maxRating = math.MaxInt32

// check parses and checks the rows of a block and sets their faults.
func (d reader) check(ctx context.Context, b *block, s *sudoku.Solver) {
	var fields [][]byte
	for text := b.text; len(text) > 0 && ctx.Err() == nil; {
		var p row
		var msg string
		var n int
		there := false
		if d.list {
			var line []byte
			line, n = cutLine(text)
			if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
				there, msg = true, p.parseList(line)
			}
		} else {
			rec := d.record(text, fields[:0])
			fields, n = rec.fields, rec.n
			if there = rec.fault != "" || len(fields) > 0; there {
				if msg = rec.fault; msg == "" {
					msg = d.parseRow(&p, fields)
				}
			}
		}
		if there {
			if msg == "" {
				msg = d.complete(&p, s)
			}
			p.line = b.lines + 1
			var fault *errRow
			if msg != "" {
				fault = &errRow{msg: msg}
			}
			b.rows, b.faults = append(b.rows, p), append(b.faults, fault)
		}
		b.lines += int64(bytes.Count(text[:n], newline))
		text = text[n:]
	}
}

var comma, newline = []byte{','}, []byte{'\n'}

func cutLine(b []byte) (line []byte, n int) {
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		return b[:i], i + 1
	}
	return b, len(b)
}

// complete computes the values of a puzzle that the file lacks. It returns the fault of the row, "" if there is none.
func (d reader) complete(p *row, s *sudoku.Solver) (msg string) {
	switch {
	case d.parse:
		return ""
	case d.limit > 0:
		if p.solutions = s.Count(&p.Question, d.limit); p.solutions == 1 {
			p.Answer = s.First()
		}
		if d.rate && p.solutions == 1 {
			p.Rating = s.Rate(&p.Question)
		}
		return ""
	case d.list || d.cols.answer < 0:
		switch s.Count(&p.Question, 2) {
		case 0:
			return "has no solution"
		case 2:
			return "has several solutions"
		}
		p.Answer = s.First()
	case d.unique && !s.Unique(&p.Question):
		return "the question has more than one solution"
	}
	unrated := d.list || d.cols.rating < 0
	if d.rate && unrated {
		p.Rating = s.Rate(&p.Question)
	}
	if d.prints {
		p.print = p.Question.Fingerprint()
	}
	return ""
}

// parseRow parses the columns of a CSV into p. It returns the fault of the row, "" if there is none.
func (d reader) parseRow(p *row, rec [][]byte) string {
	if len(rec) != d.cols.n {
		return fmt.Sprintf("has %d columns, want %d", len(rec), d.cols.n)
	}
	var err error
	if p.Question, err = sudoku.Parse(bytes.TrimSpace(rec[d.cols.question])); err != nil {
		return "question: " + err.Error()
	}
	if d.limit > 0 {
		return ""
	}
	if d.cols.rating >= 0 {
		if p.Rating, err = strconv.Atoi(string(bytes.TrimSpace(rec[d.cols.rating]))); err != nil && !errors.Is(err, strconv.ErrRange) {
			return "rating is no whole number"
		}
		if p.Rating < 0 || p.Rating > maxRating {
			return fmt.Sprintf("rating is not in 0 to %d", maxRating)
		}
	}
	if d.cols.answer < 0 {
		return ""
	}
	if p.Answer, err = sudoku.Parse(bytes.TrimSpace(rec[d.cols.answer])); err != nil {
		return "answer: " + err.Error()
	}
	if !p.Answer.Complete() {
		return "the answer is no valid grid: a digit is missing or twice in a row, column or box"
	}
	if !p.Answer.Extends(&p.Question) {
		return "the answer does not solve the question: it changes a clue"
	}
	return ""
}

// listPuzzle returns the puzzle in a line of a list. Anything after it is ignored.
func listPuzzle(line []byte) []byte {
	if len(line) > 81 && bytes.IndexByte([]byte(" ,;:\t"), line[81]) >= 0 {
		line = line[:81]
	}
	return line
}

// parseList parses a line of a list into p. It returns the fault of the row, "" if there is none.
func (p *row) parseList(line []byte) string {
	var err error
	if p.Question, err = sudoku.Parse(listPuzzle(line)); err != nil {
		return err.Error()
	}
	return ""
}

// localFiles finds the CSV files of a local source.
func localFiles(o Options) (train, test string, err error) {
	st, err := os.Stat(o.Source)
	if err != nil {
		return "", "", optionsf("read source: %v (a CSV file, a folder with train.csv and test.csv, gs://..., hf:owner/name, or %q)",
			err, SourceGenerate)
	}
	if !st.IsDir() {
		return o.Source, "", nil
	}
	if train, err = findSplit(o.Source, "train"); err == nil && o.TestSource == "" {
		test, err = findSplit(o.Source, "test")
	}
	return train, test, err
}

var csvExtensions = []string{".csv", ".csv.gz", ".csv.zst"}

func findSplit(dir, split string) (string, error) {
	for _, ext := range csvExtensions {
		p := filepath.Join(dir, split+ext)
		if _, err := os.Stat(p); err == nil {
			return p, nil
		}
	}
	return "", inputf("source folder %s has no %s.csv (or .csv.gz, .csv.zst)", dir, split)
}
