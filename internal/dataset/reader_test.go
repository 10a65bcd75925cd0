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
			out = append(out, fmt.Sprint(p.index, p.Question, p.Answer, p.Rating))
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
	for i := int64(-1); ; i++ {
		rec, err := c.Read()
		if err == io.EOF {
			return out
		}
		if i < 0 {
			continue // header
		}
		p := row{index: i}
		var msg string
		var perr *csv.ParseError
		if errors.As(err, &perr) {
			msg = perr.Err.Error()
		} else {
			msg = parseRow(&p, rec)
		}
		if msg != "" {
			out = append(out, errRow{i, msg}.Error())
		} else {
			out = append(out, fmt.Sprint(i, p.Question, p.Answer, p.Rating))
		}
	}
}

func csvText(n int) []string {
	lines := []string{strings.Join(csvHeader, ",")}
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
			l[1500] = `"a, ""b"` + "\n" + `"` + l[1500][strings.Index(l[1500], ","):]
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
	if got := described(reader{}, csvHeader[0]); !strings.Contains(strings.Join(got, ""), "header") {
		t.Errorf("one word: %v", got)
	}
	if got := described(reader{}, text+strings.Repeat("x", blockBytes)); !strings.Contains(got[len(got)-1], "longer than") {
		t.Errorf("an endless row: %v", got[len(got)-1])
	}
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }

func TestListOfPuzzles(t *testing.T) {
	var s sudoku.Solver
	p := s.Generate(0, 1)
	two := p.Question
	for i, d := range two {
		if d != 0 {
			two[i] = 0
			break
		}
	}
	none := p.Question
	for i, d := range none {
		if d == 0 {
			none[i] = p.Answer[i]%9 + 1
			break
		}
	}
	text := fmt.Sprintf("%s\n%s # a note\n%s\r\n%s\n%s\n\nxyz\n%s", p.Question, strings.ReplaceAll(p.Question.String(), ".", "0"), p.Question, two, none, p.Question)
	good := func(i int) string { return fmt.Sprint(i, p.Question, p.Answer, p.Rating) }
	want := []string{good(0), good(1), good(2), "row 4: has several solutions", "row 5: has no solution", "row 6: puzzle has 0 characters, want 81", "row 7: puzzle has 3 characters, want 81", good(7)}
	if got := described(reader{rate: true}, text); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte("source,question,answer,rating\na,b,c,1\n"))
	f.Add([]byte("source,question,answer,rating\n\"a,b\n"))
	f.Add([]byte("source,question,answer,rating\n\r\na\r,\"\n\""))
	f.Add([]byte(strings.Repeat("1", 81)))
	f.Fuzz(func(t *testing.T, b []byte) {
		d := reader{workers: 1}
		err := d.read(context.Background(), bytes.NewReader(b), func(p row, fault *errRow) error {
			if fault == nil && (!p.Answer.Complete() || !p.Answer.Extends(&p.Question)) {
				t.Errorf("accepted %+v", p)
			}
			return nil
		})
		head := strings.Join(csvHeader, ",") + "\n"
		if err == nil && bytes.HasPrefix(b, []byte(head)) {
			if got, want := described(d, string(b)), plainRows(string(b)); !slices.Equal(got, want) {
				t.Errorf("got %q, encoding/csv %q", got, want)
			}
		}
	})
}

func BenchmarkVerifyUnique(b *testing.B) {
	var s sudoku.Solver
	var text strings.Builder
	text.WriteString(strings.Join(csvHeader, ",") + "\n")
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
