package dataset

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"

	"trmsweep/internal/sudoku"
)

// reader passes the rows of one source through its checks, on all cores, in order.
type reader struct {
	unique  bool // prove that every question has one solution
	rate    bool // rate the puzzles of a list
	prints  bool // compute fingerprints
	workers int  // 0 = all cores

	list bool // one puzzle a line; else a CSV
}

// block is a portion of a source, checked by one worker.
type block struct {
	first int64 // row
	lines []byte
	// records take the place of lines from the first quote of a CSV on; nil stands
	// for one that cannot be parsed, with its fault in parseFaults.
	records     [][]string
	parseFaults map[int]string

	rows   []row
	faults []*errRow // of each row
	done   chan struct{}
}

// blockBytes is about what a worker takes at once.
const blockBytes = 1 << 16

// read calls yield for every row of r, a CSV with the header
// source,question,answer,rating or a list of one puzzle a line. A row that is at
// fault comes with its fault; any other error ends the reading. Nothing runs on
// after it returned.
func (d reader) read(ctx context.Context, r io.Reader, yield func(row, *errRow) error) error {
	br := bufio.NewReaderSize(r, 1<<20)
	head, err := br.Peek(81)
	if len(head) == 0 {
		if err == io.EOF {
			return errors.New("the file is empty")
		}
		return err
	}
	_, perr := sudoku.Parse(head)
	d.list = perr == nil
	n := d.workers
	if n <= 0 {
		n = runtime.GOMAXPROCS(0)
	}
	ctx, cancel := context.WithCancel(ctx)
	work, ordered := make(chan *block, n), make(chan *block, 2*n)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for range n {
		wg.Go(func() {
			var s sudoku.Solver
			for b := range work {
				d.check(ctx, b, &s)
				close(b.done)
			}
		})
	}
	var readErr error
	wg.Go(func() {
		defer close(ordered)
		defer close(work)
		readErr = d.split(ctx, br, func(b *block) error {
			b.done = make(chan struct{})
			select {
			case ordered <- b:
			case <-ctx.Done():
				return ctx.Err()
			}
			work <- b
			return nil
		})
	})
	for b := range ordered {
		<-b.done
		if ctx.Err() != nil {
			return ctx.Err()
		}
		for i := range b.rows {
			if err := yield(b.rows[i], b.faults[i]); err != nil {
				return err
			}
		}
	}
	return readErr
}

var csvHeader = []string{"source", "question", "answer", "rating"}

// split cuts the source into blocks of whole rows.
func (d reader) split(ctx context.Context, br *bufio.Reader, send func(*block) error) error {
	if !d.list {
		head, err := br.ReadSlice('\n')
		if err != nil && err != io.EOF && err != bufio.ErrBufferFull {
			return fmt.Errorf("header: %w", err)
		}
		line := strings.ReplaceAll(strings.TrimRight(strings.TrimPrefix(string(head), "\ufeff"), "\r\n"), `"`, "")
		if line != strings.Join(csvHeader, ",") {
			return fmt.Errorf("the header is %q, want %q (a list has a puzzle of 81 characters as its first line)", shorten(line), strings.Join(csvHeader, ","))
		}
	}
	next := int64(0)
	var rest []byte // the begin of a row
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		b := &block{first: next, lines: append(make([]byte, 0, blockBytes), rest...)}
		n, err := fill(br, b.lines[len(rest):blockBytes])
		b.lines = b.lines[:len(rest)+n]
		last := err == io.EOF
		if err != nil && !last {
			return fmt.Errorf("after row %d: %w", next, err)
		}
		if !d.list && bytes.IndexByte(b.lines, '"') >= 0 {
			return d.splitQuoted(ctx, io.MultiReader(bytes.NewReader(b.lines), br), next, send)
		}
		if !last {
			end := bytes.LastIndexByte(b.lines, '\n') + 1
			if end == 0 {
				return fmt.Errorf("row %d is longer than %d bytes", next+1, blockBytes)
			}
			rest = slices.Clone(b.lines[end:])
			b.lines = b.lines[:end]
		}
		next += int64(countLines(b.lines, !d.list))
		if err := send(b); err != nil || last {
			return err
		}
	}
}

// fill reads until p is full. It is io.ReadFull, but with io.EOF for the end of r
// and nothing else: a packed file that was cut ends with io.ErrUnexpectedEOF.
func fill(r io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var k int
		k, err = r.Read(p[n:])
		n += k
	}
	if n == len(p) {
		err = nil
	}
	return n, err
}

func shorten(s string) string {
	if len(s) > 100 {
		return s[:100] + "..."
	}
	return s
}

// eachLine calls f without line ends; a CSV's empty lines are no rows.
func eachLine(lines []byte, skipEmpty bool, f func([]byte)) {
	for len(lines) > 0 {
		line := lines
		if i := bytes.IndexByte(lines, '\n'); i >= 0 {
			line, lines = lines[:i], lines[i+1:]
		} else {
			lines = nil
		}
		line = bytes.TrimSuffix(line, []byte{'\r'})
		if len(line) > 0 || !skipEmpty {
			f(line)
		}
	}
}

func countLines(lines []byte, skipEmpty bool) (n int) {
	eachLine(lines, skipEmpty, func([]byte) { n++ })
	return n
}

// splitQuoted goes on with a CSV that has quotes: its rows need not be lines.
func (d reader) splitQuoted(ctx context.Context, r io.Reader, next int64, send func(*block) error) error {
	c := csv.NewReader(r)
	c.FieldsPerRecord = -1
	for {
		b := &block{first: next, records: make([][]string, 0, 256)}
		var end error
		for len(b.records) < cap(b.records) && end == nil {
			rec, err := c.Read()
			var perr *csv.ParseError
			switch {
			case err == nil:
			case err == io.EOF:
				end = err
				continue
			case errors.As(err, &perr):
				if b.parseFaults == nil {
					b.parseFaults = map[int]string{}
				}
				rec, b.parseFaults[len(b.records)] = nil, perr.Err.Error()
			default:
				end = fmt.Errorf("after row %d: %w", next+int64(len(b.records)), err)
				continue
			}
			b.records = append(b.records, rec)
		}
		next += int64(len(b.records))
		if err := send(b); err != nil {
			return err
		}
		if end == io.EOF {
			return nil
		}
		if end != nil {
			return end
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}
