package dataset

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"trmsweep/internal/sudoku"
)

// described is what read yields, a line a row.
func described(d reader, text string) []string {
	var out []string
	err := d.read(context.Background(), strings.NewReader(text), func(p row, fault *errRow) error {
		if fault != nil {
			out = append(out, fault.Error())
		} else {
			out = append(out, fmt.Sprint(p.line, p.index, p.Question, p.Answer, p.Rating))
		}
		return nil
	})
	if err != nil {
		out = append(out, err.Error())
	}
	return out
}

// plainRows is the same by encoding/csv alone.
func plainRows(text string) []string {
	var out []string
	c := csv.NewReader(strings.NewReader(text))
	c.FieldsPerRecord = -1
	header, err := c.Read()
	if err != nil {
		return []string{err.Error()}
	}
	cols, err := parseHeader([]byte(strings.Join(header, ",")))
	if err != nil {
		return []string{err.Error()}
	}
	for i := int64(0); ; i++ {
		rec, err := c.Read()
		if err == io.EOF {
			return out
		}
		p := row{index: i}
		var msg string
		var fields [][]byte
		var perr *csv.ParseError
		if errors.As(err, &perr) {
			msg, p.line = perr.Err.Error(), int64(perr.StartLine)
		} else {
			if len(rec) == 1 && strings.TrimSpace(rec[0]) == "" {
				i--
				continue
			}
			for _, f := range rec {
				fields = append(fields, []byte(f))
			}
			line, _ := c.FieldPos(0)
			msg, p.line = reader{cols: cols}.parseRow(&p, fields), int64(line)
		}
		if msg != "" {
			out = append(out, errRow{p.line, msg}.Error())
		} else {
			out = append(out, fmt.Sprint(p.line, i, p.Question, p.Answer, p.Rating))
		}
	}
}

const csvHeader = "source,question,answer,rating"

func csvText(n int) []string {
	lines := []string{csvHeader}
	var s sudoku.Solver
	r := sudoku.NewRand(1)
	a := s.RandomSolution(&r)
	for i := range n {
		q := a
		for range 30 {
			q[r.Intn(81)] = 0
		}
		lines = append(lines, fmt.Sprintf("s%d,%s,%s,%d", i, q, a, i))
	}
	return lines
}

func TestReaderAgreesWithEncodingCSV(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(l []string) string
	}{
		{"plain", func(l []string) string { return strings.Join(l, "\n") + "\n" }},
		{"no last newline", func(l []string) string { return strings.Join(l, "\n") }},
		{"windows", func(l []string) string { return strings.Join(l, "\r\n") + "\r\n" }},
		{"empty lines", func(l []string) string { l[400] += "\n\n\r\n"; return strings.Join(l, "\n") }},
		{"columns", func(l []string) string { l[3], l[900] = "a,b", l[900]+",,"; return strings.Join(l, "\n") }},
		{"a quoted source late", func(l []string) string {
			l[1500] = `"a, ""b` + "\n" + `"` + l[1500][strings.Index(l[1500], ","):]
			l[1900] = `"a, ""b"` + "\n" + `"` + l[1900][strings.Index(l[1900], ","):]
			return strings.Join(l, "\n")
		}},
		{"bare quotes", func(l []string) string {
			l[700] = `a"b` + l[700]
			l[1800] = `"` + l[1800]
			return strings.Join(l, "\n")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := c.edit(csvText(2000))
			want := plainRows(text)
			for _, n := range []int{1, 3} {
				if got := described(reader{workers: n}, text); !slices.Equal(got, want) {
					t.Errorf("%d workers: %d rows, encoding/csv %d", n, len(got), len(want))
				}
			}
		})
	}
}

func TestReaderStops(t *testing.T) {
	text := strings.Join(csvText(3000), "\n")
	stop := errors.New("enough")
	n := 0
	err := reader{workers: 2}.read(context.Background(), strings.NewReader(text), func(row, *errRow) error {
		if n++; n == 700 {
			return stop
		}
		return nil
	})
	if err != stop || n != 700 {
		t.Errorf("%v after %d rows", err, n)
	}
	ctx, cancel := context.WithCancel(context.Background())
	err = reader{workers: 2}.read(ctx, strings.NewReader(text), func(row, *errRow) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	broken := io.MultiReader(strings.NewReader(text), errorReader{stop})
	if err := (reader{}).read(context.Background(), broken, func(row, *errRow) error { return nil }); !errors.Is(err, stop) {
		t.Errorf("a broken stream: %v", err)
	}
	if got := described(reader{}, "source"); !strings.Contains(strings.Join(got, ""), "header") {
		t.Errorf("one word: %v", got)
	}
	if got := described(reader{}, text+strings.Repeat("x", blockBytes+1)); !strings.Contains(got[len(got)-1], "line 3001 is longer than") {
		t.Errorf("an endless row: %v", got[len(got)-1])
	}
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }

func TestListOfPuzzles(t *testing.T) {
	p, two, none := threePuzzles()
	text := fmt.Sprintf("%s\n%s # a note\n%s\r\n%s\n%s\n\nxyz\n%s", p.Question, strings.ReplaceAll(p.Question.String(), ".", "0"), p.Question,
		two, none, p.Question)
	good := func(line int) string { return fmt.Sprint(line, line-1, p.Question, p.Answer, p.Rating) }
	want := []string{good(1), good(2), good(3), "line 4: has several solutions", "line 5: has no solution",
		"line 7: puzzle has 3 characters, want 81", good(8)}
	if got := described(reader{rate: true}, text); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

// threePuzzles are one with one solution, one with two, and one with none.
func threePuzzles() (p sudoku.Puzzle, two, none sudoku.Grid) {
	var s sudoku.Solver
	p = s.Generate(0, 1)
	two, none = p.Question, p.Question
	for i, d := range two {
		if d != 0 {
			two[i] = 0
			break
		}
	}
	for i, d := range none {
		if d == 0 {
			none[i] = p.Answer[i]%9 + 1
			break
		}
	}
	return p, two, none
}

// What public lists look like. In an expected row the first number is the line.
func TestFormatsOfPublicLists(t *testing.T) {
	p, _, _ := threePuzzles()
	q := p.Question.String()
	fill := strings.NewReplacer("<q>", q, "<stars>", strings.ReplaceAll(q, ".", "*"), "<zeros>", strings.ReplaceAll(q, ".", "0"),
		"<lines>", strings.ReplaceAll(q, ".", "_"), "<a>", p.Answer.String(), "<r>", fmt.Sprint(p.Rating))
	for _, c := range []struct {
		name, text string
		d          reader
		want       []string
	}{
		{"comments at the head", "# from here\n#\n  # and there\n<q>\n", reader{}, []string{"4 3 <q> <a> <r>"}},
		{"comments in between", "<q>\n# half, \"way\n<q>\n", reader{}, []string{"1 0 <q> <a> <r>", "3 2 <q> <a> <r>"}},
		{"empty lines", "\n \n<q>\n\n<q>\n\n\r\n  \n", reader{}, []string{"3 2 <q> <a> <r>", "5 4 <q> <a> <r>"}},
		{"byte order mark", "\ufeff<q>\n", reader{}, []string{"1 0 <q> <a> <r>"}},
		{"byte order mark and a comment", "\ufeff# x\n<q>\n", reader{}, []string{"2 1 <q> <a> <r>"}},
		{"blanks", "<stars>\n<zeros>\n<lines>\n<q>", reader{},
			[]string{"1 0 <q> <a> <r>", "2 1 <q> <a> <r>", "3 2 <q> <a> <r>", "4 3 <q> <a> <r>"}},
		{"number of solutions and solution", "<q>:1:<a>\n<q>:1:<a>\n", reader{}, []string{"1 0 <q> <a> <r>", "2 1 <q> <a> <r>"}},
		{"solution and rating behind", "<q>,<a>,5\n<q>;<a>\n<q>\tx\n", reader{},
			[]string{"1 0 <q> <a> <r>", "2 1 <q> <a> <r>", "3 2 <q> <a> <r>"}},
		{"how many", "2\n<q>\n<q>\n", reader{}, []string{"2 1 <q> <a> <r>", "3 2 <q> <a> <r>"}},
		{"how many, wrongly", "# x\n3\n<q>\n<q>\n", reader{}, []string{"3 2 <q> <a> <r>", "4 3 <q> <a> <r>",
			"line 2 says that 3 puzzles follow, and 2 do: the file was cut, or that line is no count"}},
		{"how many twice", "2\n2\n<q>\n", reader{},
			[]string{"line 2 is neither a puzzle nor a header: it has 1 characters in 1 columns; a list has a puzzle of 81 characters a line, " +
				"a CSV a header such as source,question,answer,rating or quizzes,solutions"}},
		{"a CSV of our own", "source,question,answer,rating\nx,<q>,<a>,7\n", reader{}, []string{"2 0 <q> <a> 7"}},
		{"quizzes and solutions", "quizzes,solutions\n<zeros>,<a>\n", reader{}, []string{"2 0 <q> <a> <r>"}},
		{"Puzzle and Solution", "Puzzle,Solution\r\n<stars>,<a>\r\n", reader{}, []string{"2 0 <q> <a> <r>"}},
		{"other order, case and spaces", "\ufeff# x\n Rating , ANSWER,\"Question\"\n 3 , <a> , <q> \n", reader{}, []string{"3 0 <q> <a> 3"}},
		{"columns of no use", "id,puzzle,solution,clues,difficulty\n1,<q>,<a>,22,0.5\n", reader{}, []string{"2 0 <q> <a> <r>"}},
		{"no answers", "puzzle\n<q>\n", reader{}, []string{"2 0 <q> <a> <r>"}},
		{"comments and empty lines in a CSV", "puzzle,solution\n# x\n\n<q>,<a>\n  \n#\n<q>,<a>\n\n", reader{},
			[]string{"4 0 <q> <a> <r>", "7 1 <q> <a> <r>"}},
		{"comments in a CSV of one column", "puzzle\n# x\n  # y\n<q>\n#z", reader{}, []string{"4 0 <q> <a> <r>"}},
		{"comments with the columns of a row", "puzzle,solution\n# well, yes\n<q>,<a>\n", reader{}, []string{"3 0 <q> <a> <r>"}},
		{"a source that looks like a comment", "source,puzzle,solution\n#1,<q>,<a>\n", reader{}, []string{"2 0 <q> <a> <r>"}},
		{"quoted rows, and lines inside", "source,puzzle,solution\n\"a\nb\",\"<q>\",<a>\n\"# x\"\"\",<q>,\"<a>\"\n", reader{},
			[]string{"2 0 <q> <a> <r>", "4 1 <q> <a> <r>"}},
		{"a column twice", "puzzle,question\n", reader{}, []string{"line 1: the header has two columns for the question: 1 and 2"}},
		{"no question", "source,solution\n", reader{},
			[]string{"line 1: the header has no column for the question; known names are answer, clues, difficulty, id, puzzle, puzzles, " +
				"question, quiz, quizzes, rating, solution, solutions, source"}},
		{"no puzzle", "# x\n\n", reader{}, []string{"there is no puzzle in the file"}},
		{"a first line that is bad", "1........\n<q>\n", reader{skipBad: true},
			[]string{"line 1: puzzle has 9 characters, want 81", "2 1 <q> <a> <r>"}},
		{"a puzzle of another size", "1234123412341234\n<q>\n", reader{skipBad: true},
			[]string{"2 1 <q> <a> <r>", "line 1 says that 1234123412341234 puzzles follow, and 1 do: the file was cut, or that line is no count"}},
		{"how many solutions", "<q>\n", reader{limit: 2}, []string{"1 0 <q> <a> <r>"}},
		{"a CSV to solve", "quizzes,solutions\n<q>,\n", reader{limit: 2}, []string{"2 0 <q> <a> <r>"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for i := range c.want {
				c.want[i] = fill.Replace(c.want[i])
			}
			c.d.rate = true
			if got := described(c.d, fill.Replace(c.text)); !slices.Equal(got, c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

// No message repeats what a file has beside known names of columns.
func TestFaultsDoNotRepeatContents(t *testing.T) {
	p, _, _ := threePuzzles()
	const secret = "hunter2"
	padded := secret + strings.Repeat("x", 81-len(secret))
	for _, text := range []string{
		secret, "TOKEN=" + secret + "\x00SHELL=/bin/sh", secret + "," + secret, "question," + secret, "question,answer," + secret + "\n", padded,
		p.Question.String() + "\n" + padded + "\n", "puzzle,solution\n" + secret + "," + padded,
		"puzzle,solution,rating\n" + fmt.Sprintf("%s,%s,%s", p.Question, p.Answer, secret),
		"puzzle,solution\n\"" + secret, "\"question\",\"" + secret, "7\n" + secret,
	} {
		for _, skip := range []bool{false, true} {
			if got := strings.Join(described(reader{skipBad: skip}, text), "\n"); strings.Contains(got, secret) || strings.Contains(got, "hunt") {
				t.Errorf("%q", got)
			}
		}
	}
}

// A quote that is not closed is refused within a row's limit, however long the file is.
func TestQuotedRowsAreBounded(t *testing.T) {
	var given int64
	endless := readerFunc(func(b []byte) (int, error) {
		for i := range b {
			b[i] = 'x'
		}
		given += int64(len(b))
		return len(b), nil
	})
	text := csvHeader + "\n\"a\",\""
	err := reader{workers: 1}.read(t.Context(), io.MultiReader(strings.NewReader(text), endless), func(row, *errRow) error { return nil })
	if err == nil || err.Error() != "line 2 is longer than 65536 bytes (or a quote is not closed)" || given > 4<<20 {
		t.Errorf("%v after %d bytes", err, given)
	}
}

func FuzzReader(f *testing.F) {
	p, _, _ := threePuzzles()
	for _, text := range []string{
		"source,question,answer,rating\na,b,c,1\n", "source,question,answer,rating\n\"a,b\n", "source,question,answer,rating\n\r\na\r,\"\n\"",
		strings.Repeat("1", 81), "\ufeff# x\n2\nQ\nQ:1:A\n\n", "quizzes,solutions\n\"Q\",\"A\"\n \n", "Puzzle,Solution\nQ,A\n#",
		"source,question,answer,rating\n\"a\r\n\"\"\",Q,A,2\r\n\"a\"b,\n\"c\"\r",
		"id, Rating ,Puzzle\n1,2,Q\n",
	} {
		f.Add([]byte(strings.NewReplacer("Q", p.Question.String(), "A", p.Answer.String()).Replace(text)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d := reader{workers: 1}
		err := d.read(context.Background(), bytes.NewReader(b), func(p row, fault *errRow) error {
			solved := p.Answer.Complete() && p.Answer.Extends(&p.Question)
			if fault == nil && !solved {
				t.Errorf("accepted %+v", p)
			}
			return nil
		})
		if err == nil && bytes.HasPrefix(b, []byte(csvHeader+"\n")) && !bytes.ContainsRune(b, '#') {
			if got, want := described(d, string(b)), plainRows(string(b)); !slices.Equal(got, want) {
				t.Errorf("got %q, encoding/csv %q", got, want)
			}
		}
	})
}

func BenchmarkVerifyUnique(b *testing.B) {
	var s sudoku.Solver
	var text strings.Builder
	text.WriteString(csvHeader + "\n")
	const n = 20000
	ps := make([]sudoku.Puzzle, 200)
	for i := range ps {
		ps[i] = s.Generate(0, 3, uint64(i))
	}
	for i := range n {
		p := ps[i%len(ps)]
		fmt.Fprintf(&text, "s,%s,%s,%d\n", p.Question, p.Answer, p.Rating)
	}
	for _, c := range []struct {
		name string
		d    reader
	}{{"read", reader{}}, {"unique 1 worker", reader{unique: true, workers: 1}}, {"unique", reader{unique: true}}} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(text.Len()))
			before := processCPU()
			for range b.N {
				if err := c.d.read(context.Background(), strings.NewReader(text.String()), func(row, *errRow) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "rows/s")
			b.ReportMetric(float64(processCPU()-before)/float64(b.N*n), "cpu-ns/row")
		})
	}
}
