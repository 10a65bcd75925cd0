package dataset

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strconv"
	"sync"

	"trmsweep/internal/sudoku"
)

// reader checks the puzzles of one file on all cores and yields them in order. The file
// is a CSV with a known header (see columnNames) or a list: one puzzle a line, perhaps
// after a line with the number of puzzles. Empty lines and lines that begin with '#' are
// skipped in both.
type reader struct {
	unique  bool // check that every question has exactly one solution
	rate    bool // rate puzzles that have no rating in the file
	prints  bool // compute fingerprints
	skipBad bool // faulty rows are left out; a first line that is neither a puzzle nor a header is a faulty row of a list
	limit   int  // if > 0: only count up to this many solutions of every question, which may have none or several
	parse   bool // parse only: compute nothing that the file lacks
	workers int  // 0 = one per core

	list bool    // the file is a list and not a CSV
	cols columns // columns of the CSV
}

// block is a part of a file that one worker checks. It consists of whole rows.
type block struct {
	text   []byte
	rows   []row     // their line numbers count from the begin of the block
	faults []*errRow // fault of each row, nil if there is none
	lines  int64
	done   chan struct{}
}

// blockBytes is the approximate size of a block and the greatest length of a row.
const blockBytes = 1 << 16

// errReading is an error that ended the reading before the end of the file, after the lines that were read.
type errReading struct{ error }

func (e errReading) Unwrap() error { return e.error }

var errLong = fmt.Errorf("is longer than %d bytes (or a quote is not closed)", blockBytes)

// read calls yield for every row of r, with the fault of the row if it has one. Any other
// error ends the reading. No goroutine of read still runs when it returns.
func (d reader) read(ctx context.Context, r io.Reader, yield func(row, *errRow) error) error {
	br := bufio.NewReaderSize(r, 1<<20)
	h, err := d.readHead(ctx, br)
	if err != nil {
		return err
	}
	d.list, d.cols = h.list, h.cols
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
			s := sudoku.Solver{Stop: func() bool { return ctx.Err() != nil }}
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
		readErr = d.split(ctx, br, h.rest, func(b *block) error {
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
	lines, rows := h.lines, int64(0)
	for b := range ordered {
		<-b.done
		if ctx.Err() != nil {
			return ctx.Err()
		}
		for i := range b.rows {
			p := &b.rows[i]
			p.line += lines
			p.index = rows
			if d.list {
				p.index = p.line - 1
			}
			rows++
			if b.faults[i] != nil {
				b.faults[i].line = p.line
			}
			if err := yield(*p, b.faults[i]); err != nil {
				return err
			}
		}
		lines += b.lines
	}
	var at errReading
	switch {
	case readErr == errLong: //nolint:errorlint // errLong is only returned unwrapped
		return fmt.Errorf("line %d %w", lines+1, readErr)
	case errors.As(readErr, &at):
		return fmt.Errorf("after line %d: %w", lines, at.error)
	case readErr != nil:
		return readErr
	case h.countLine > 0 && h.count != rows:
		return fmt.Errorf("line %d says that %d puzzles follow, and %d do: the file was cut, or that line is no count",
			h.countLine, h.count, rows)
	}
	return nil
}

// head is the part of a file before the rows.
type head struct {
	list      bool
	cols      columns
	lines     int64  // number of lines read
	rest      []byte // the first row, if it was read already
	count     int64  // number of puzzles that countLine states
	countLine int64  // line that states the number of puzzles, 0 = none
}

// readHead reads up to the first row and finds out whether the file is a list or a CSV.
func (d reader) readHead(ctx context.Context, br *bufio.Reader) (head, error) {
	var h head
	for {
		if err := ctx.Err(); err != nil {
			return h, err
		}
		line, err := br.ReadSlice('\n')
		if err != nil && err != io.EOF && err != bufio.ErrBufferFull {
			return h, fmt.Errorf("after line %d: %w", h.lines, err)
		}
		h.lines++
		if len(line) > blockBytes {
			return h, fmt.Errorf("line %d %w", h.lines, errLong)
		}
		if h.lines == 1 {
			line = bytes.TrimPrefix(line, []byte("\ufeff"))
		}
		text := bytes.TrimSpace(line)
		if len(text) == 0 || text[0] == '#' {
			if err == io.EOF && h.lines == 1 && len(text) == 0 {
				return h, errors.New("the file is empty")
			}
			if err == io.EOF {
				return h, errors.New("there is no puzzle in the file")
			}
			continue
		}
		if n, cerr := strconv.ParseUint(string(text), 10, 63); cerr == nil && len(text) < 81 && h.countLine == 0 {
			h.count, h.countLine = int64(n), h.lines
			continue
		}
		_, perr := sudoku.Parse(listPuzzle(text))
		h.list = perr == nil
		if !h.list {
			h.cols, err = parseHeader(line)
			if err == nil {
				return h, nil
			}
			if h.list = errors.Is(err, errNoHeader) && d.skipBad; !h.list {
				return h, headError(h.lines, text, err)
			}
		}
		h.lines--
		h.rest = slices.Clone(line)
		return h, nil
	}
}

func headError(line int64, text []byte, err error) error {
	if !errors.Is(err, errNoHeader) {
		return fmt.Errorf("line %d: %w", line, err)
	}
	return fmt.Errorf("line %d is neither a puzzle nor a header: it has %d characters in %d columns; "+
		"a list has a puzzle of 81 characters a line, "+
		"a CSV a header such as source,question,answer,rating or quizzes,solutions",
		line, len(text), bytes.Count(text, comma)+1)
}

// split cuts the file into blocks of whole rows. rest is the part that was read already.
func (d reader) split(ctx context.Context, br *bufio.Reader, rest []byte, send func(*block) error) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		b := &block{text: append(make([]byte, 0, blockBytes), rest...)}
		n, err := fill(br, b.text[len(rest):blockBytes])
		b.text = b.text[:len(rest)+n]
		last := err == io.EOF
		if err != nil && !last {
			return errReading{err}
		}
		if !last {
			end := d.wholeRows(b.text)
			if end == 0 {
				return errLong
			}
			rest = slices.Clone(b.text[end:])
			b.text = b.text[:end]
		}
		if err := send(b); err != nil || last {
			return err
		}
	}
}

// wholeRows returns the index of the end of the last whole row in b.
func (d reader) wholeRows(b []byte) int {
	if d.list || bytes.IndexByte(b, '"') < 0 {
		return bytes.LastIndexByte(b, '\n') + 1
	}
	at := 0
	var fields [][]byte
	for at < len(b) {
		rec := d.record(b[at:], fields[:0])
		if !rec.ended {
			break
		}
		at += rec.n
	}
	return at
}

// record is csvRecord, but returns no fields for a line that is not a row.
func (d reader) record(b []byte, fields [][]byte) csvLine {
	line := b
	rec := csvLine{n: len(b)}
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		line, rec.n, rec.ended = b[:i], i+1, true
	}
	line = bytes.TrimSuffix(line, []byte{'\r'})
	if bytes.HasPrefix(bytes.TrimLeft(line, " \t"), []byte{'#'}) && d.isComment(line) {
		return rec
	}
	if bytes.IndexByte(line, '"') >= 0 {
		rec = csvRecord(b, fields)
	} else {
		for more := true; more; {
			var f []byte
			f, line, more = bytes.Cut(line, comma)
			fields = append(fields, f)
		}
		rec.fields = fields
	}
	if rec.fault == "" && len(rec.fields) == 1 && len(bytes.TrimSpace(rec.fields[0])) == 0 {
		rec.fields = nil
	}
	return rec
}

// isComment says whether a line that begins with '#' is a comment. It may also be a row
// whose first column is not the puzzle; then it has as many columns as other rows.
func (d reader) isComment(line []byte) bool {
	return d.cols.question == 0 || bytes.Count(line, comma)+1 != d.cols.n
}

// fill reads until p is full. Unlike io.ReadFull it returns io.EOF at the end of r, so that
// io.ErrUnexpectedEOF always means a truncated compressed file.
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
