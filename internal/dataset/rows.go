package dataset

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"

	"trmsweep/internal/sudoku"
)

// row is one puzzle of a source.
type row struct {
	sudoku.Puzzle
	index int64  // 0-based in the source, without the header
	print uint64 // fingerprint of the question, where it is wanted; 0 = not computed
}

// errRow is a fault of one row; reading may go on after it.
type errRow struct {
	index int64
	msg   string
}

func (e errRow) Error() string { return fmt.Sprintf("row %d: %s", e.index+1, e.msg) }

// openSource opens a file, unpacking .gz and .zst.
func openSource(path string) (io.ReadCloser, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, inputf("read source: %v", err)
	}
	switch {
	case strings.HasSuffix(path, ".gz"):
		z, err := gzip.NewReader(f)
		if err != nil {
			f.Close()
			return nil, inputf("read source %s: %v", path, err)
		}
		return struct {
			io.Reader
			io.Closer
		}{z, f}, nil
	case strings.HasSuffix(path, ".zst"):
		z, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(256<<20))
		if err != nil {
			f.Close()
			return nil, inputf("read source %s: %v", path, err)
		}
		return struct {
			io.Reader
			io.Closer
		}{z, closers{z.IOReadCloser(), f}}, nil
	}
	return f, nil
}

type closers []io.Closer

func (c closers) Close() error {
	var errs []error
	for _, x := range c {
		errs = append(errs, x.Close())
	}
	return errors.Join(errs...)
}

// check fills in the rows of a block and their faults.
func (d reader) check(ctx context.Context, b *block, s *sudoku.Solver) {
	add := func(p row, msg string) {
		p.index = b.first + int64(len(b.rows))
		if msg == "" && d.unique && !d.list && !s.Unique(&p.Question) {
			msg = "the question has more than one solution"
		}
		if msg == "" && d.prints {
			p.print = p.Question.Fingerprint()
		}
		var fault *errRow
		if msg != "" {
			fault = &errRow{p.index, msg}
		}
		b.rows, b.faults = append(b.rows, p), append(b.faults, fault)
	}
	var fields [][]byte
	eachLine(b.lines, !d.list, func(line []byte) {
		var p row
		switch {
		case ctx.Err() != nil:
		case d.list:
			msg := p.solve(line, s, d.rate)
			add(p, msg)
		default:
			fields = fields[:0]
			for more := true; more; {
				var f []byte
				f, line, more = bytes.Cut(line, comma)
				fields = append(fields, f)
			}
			msg := parseRow(&p, fields)
			add(p, msg)
		}
	})
	for i, rec := range b.records {
		if ctx.Err() != nil {
			return
		}
		var p row
		msg, bad := b.parseFaults[i]
		if !bad {
			msg = parseRow(&p, rec)
		}
		add(p, msg)
	}
}

var comma = []byte{','}

// parseRow reads the columns of a CSV into p; it returns what is wrong with them.
func parseRow[T string | []byte](p *row, rec []T) string {
	if len(rec) != len(csvHeader) {
		return fmt.Sprintf("has %d columns, want %d", len(rec), len(csvHeader))
	}
	var err error
	if p.Question, err = sudoku.Parse(rec[1]); err != nil {
		return "question: " + err.Error()
	}
	if p.Answer, err = sudoku.Parse(rec[2]); err != nil {
		return "answer: " + err.Error()
	}
	if p.Rating, err = strconv.Atoi(string(rec[3])); err != nil {
		return fmt.Sprintf("rating %q is no whole number", rec[3])
	}
	if p.Rating < 0 {
		return fmt.Sprintf("rating %d is negative", p.Rating)
	}
	if !p.Answer.Complete() {
		return "the answer is no valid grid: a digit is missing or twice in a row, column or box"
	}
	if !p.Answer.Extends(&p.Question) {
		return "the answer does not solve the question: it changes a clue"
	}
	return ""
}

// solve reads a line of a list and computes its answer, and its rating on request.
func (p *row) solve(line []byte, s *sudoku.Solver, rate bool) string {
	line = bytes.TrimSpace(line)
	if len(line) > 81 && bytes.IndexByte([]byte(" ,;\t"), line[81]) >= 0 {
		line = line[:81]
	}
	var err error
	if p.Question, err = sudoku.Parse(line); err != nil {
		return err.Error()
	}
	switch s.Count(&p.Question, 2) {
	case 0:
		return "has no solution"
	case 2:
		return "has several solutions"
	}
	if p.Answer = s.First(); rate {
		p.Rating = s.Rate(&p.Question)
	}
	return ""
}

// localFiles finds the CSV files of a local source.
func localFiles(o Options) (train, test string, err error) {
	st, err := os.Stat(o.Source)
	if err != nil {
		return "", "", optionsf("read source: %v (a CSV file, a folder with train.csv and test.csv, gs://..., hf:owner/name, or %q)", err, SourceGenerate)
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
