package dataset

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/csv"
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
	index int64 // 0-based in the source, without the header
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

// readRows calls yield for every row of r, a CSV with the header
// source,question,answer,rating or a list of one puzzle a line. A row that is at
// fault comes with its fault; any other error ends the reading.
func readRows(ctx context.Context, r io.Reader, needRating bool, yield func(row, *errRow) error) error {
	br := bufio.NewReaderSize(r, 1<<20)
	head, err := br.Peek(81)
	if len(head) == 0 {
		if err == io.EOF {
			return errors.New("the file is empty")
		}
		return err
	}
	if _, perr := sudoku.Parse(string(head)); perr == nil {
		return readList(ctx, br, needRating, yield)
	}
	return readCSV(ctx, br, yield)
}

var csvHeader = []string{"source", "question", "answer", "rating"}

func readCSV(ctx context.Context, r io.Reader, yield func(row, *errRow) error) error {
	c := csv.NewReader(r)
	c.ReuseRecord = true
	c.FieldsPerRecord = -1
	head, err := c.Read()
	if err != nil {
		return fmt.Errorf("header: %w", err)
	}
	if strings.TrimPrefix(strings.Join(head, ","), "\ufeff") != strings.Join(csvHeader, ",") {
		return fmt.Errorf("the header is %q, want %q", strings.Join(head, ","), strings.Join(csvHeader, ","))
	}
	for i := int64(0); ; i++ {
		if i&1023 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		rec, err := c.Read()
		if err == io.EOF {
			return nil
		}
		var perr *csv.ParseError
		if err != nil && !errors.As(err, &perr) {
			return fmt.Errorf("after row %d: %w", i, err)
		}
		p := row{index: i}
		var fault *errRow
		if err != nil {
			fault = &errRow{i, perr.Err.Error()}
		} else if msg := p.parse(rec); msg != "" {
			fault = &errRow{i, msg}
		}
		if err := yield(p, fault); err != nil {
			return err
		}
	}
}

func (p *row) parse(rec []string) string {
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
	if p.Rating, err = strconv.Atoi(rec[3]); err != nil {
		return fmt.Sprintf("rating %q is no whole number", rec[3])
	}
	if !p.Answer.Complete() {
		return "the answer is no valid grid: a digit is missing or twice in a row, column or box"
	}
	if !p.Answer.Extends(&p.Question) {
		return "the answer does not solve the question: it changes a clue"
	}
	return ""
}

// readList computes answers, and ratings where they are needed.
func readList(ctx context.Context, r io.Reader, needRating bool, yield func(row, *errRow) error) error {
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 1<<20)
	var s sudoku.Solver
	for i := int64(0); sc.Scan(); i++ {
		if i&255 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		p := row{index: i}
		var fault *errRow
		var err error
		line := strings.TrimSpace(sc.Text())
		if len(line) > 81 && strings.ContainsAny(line[81:82], " ,;\t") {
			line = line[:81]
		}
		if p.Question, err = sudoku.Parse(line); err != nil {
			fault = &errRow{i, err.Error()}
		} else if n := s.Count(&p.Question, 2); n != 1 {
			fault = &errRow{i, map[int]string{0: "has no solution", 2: "has several solutions"}[n]}
		} else if p.Answer = s.First(); needRating {
			p.Rating = s.Rate(&p.Question)
		}
		if err := yield(p, fault); err != nil {
			return err
		}
	}
	return sc.Err()
}

// localFiles finds the CSV files of a local source.
func localFiles(o Options) (train, test string, err error) {
	st, err := os.Stat(o.Source)
	if err != nil {
		return "", "", optionsf("read source: %v (a CSV file, a folder with train.csv and test.csv, gs://..., hf:owner/name, or %q)", err, SourceGenerate)
	}
	train, test = o.Source, o.TestSource
	if st.IsDir() {
		if train, err = findSplit(o.Source, "train"); err != nil {
			return "", "", err
		}
		if test == "" {
			if test, err = findSplit(o.Source, "test"); err != nil {
				return "", "", err
			}
		}
	}
	return train, test, nil
}

func findSplit(dir, split string) (string, error) {
	for _, ext := range []string{".csv", ".csv.gz", ".csv.zst"} {
		p := filepath.Join(dir, split+ext)
		if _, err := os.Stat(p); err == nil {
			return p, nil
		}
	}
	return "", inputf("source folder %s has no %s.csv (or .csv.gz, .csv.zst)", dir, split)
}
