package dataset

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// columns holds the indices of the CSV columns that are used; -1 stands for a missing column.
type columns struct {
	n                        int
	question, answer, rating int
}

// columnNames maps the headers of public datasets, in lower case, to the columns that are
// used. A missing value is computed; other columns are ignored.
var columnNames = map[string]string{
	"question": "question", "puzzle": "question", "puzzles": "question", "quiz": "question", "quizzes": "question",
	"answer": "answer", "solution": "answer", "solutions": "answer",
	"rating": "rating",
	"source": "", "id": "", "clues": "", "difficulty": "",
}

var errNoHeader = errors.New("no header")

// parseHeader parses the first line of a CSV. It returns errNoHeader if no column has a
// known name. Other errors mention known columns only and never quote the file.
func parseHeader(line []byte) (columns, error) {
	c := columns{question: -1, answer: -1, rating: -1}
	rec := csvRecord(line, nil)
	known, strange := 0, 0
	for i, field := range rec.fields {
		use, ok := columnNames[strings.ToLower(string(bytes.TrimSpace(field)))]
		if !ok {
			if strange == 0 {
				strange = i + 1
			}
			continue
		}
		known++
		at := map[string]*int{"question": &c.question, "answer": &c.answer, "rating": &c.rating}[use]
		if at == nil {
			continue
		}
		if *at >= 0 {
			return c, fmt.Errorf("the header has two columns for the %s: %d and %d", use, *at+1, i+1)
		}
		*at = i
	}
	c.n = len(rec.fields)
	switch {
	case known == 0:
		return c, errNoHeader
	case rec.fault != "":
		return c, fmt.Errorf("the header cannot be read: %s", rec.fault)
	case strange > 0:
		return c, fmt.Errorf("column %d of the header has no name that is known here, which are %s", strange, knownColumns())
	case c.question < 0:
		return c, fmt.Errorf("the header has no column for the question; known names are %s", knownColumns())
	}
	return c, nil
}

func knownColumns() string {
	var names []string
	for name := range columnNames {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// csvLine is the first record of a text.
type csvLine struct {
	fields [][]byte // parts of the text unless quotes had to be removed
	n      int      // length in the text
	fault  string   // the message of encoding/csv about it
	ended  bool     // false if the text ends inside the record
}

// csvRecord parses the first record of b by the rules of encoding/csv, which has no limit
// of its own on the length of a record. It appends the fields to those that are given.
func csvRecord(b []byte, fields [][]byte) csvLine {
	rest := b
	endOfLine := func() int { // index in b
		if i := bytes.IndexByte(rest, '\n'); i >= 0 {
			return len(b) - len(rest) + i + 1
		}
		return len(b)
	}
	bad := func(err error) csvLine {
		n := endOfLine()
		return csvLine{fields: fields, n: n, fault: err.Error(), ended: n > 0 && b[n-1] == '\n'}
	}
	for {
		var field []byte
		if len(rest) > 0 && rest[0] == '"' {
			var closed bool
			if field, rest, closed = quoted(rest[1:]); !closed {
				return csvLine{fields: fields, n: len(b), fault: csv.ErrQuote.Error()}
			}
			if end := bytes.TrimPrefix(rest, []byte{'\r'}); len(end) == 0 || end[0] == '\n' {
				rest = end
			}
			if len(rest) > 0 && rest[0] != ',' && rest[0] != '\n' {
				return bad(csv.ErrQuote)
			}
		} else {
			end := bytes.IndexAny(rest, ",\n")
			if end < 0 {
				end = len(rest)
			}
			field = rest[:end]
			if end == len(rest) || rest[end] == '\n' {
				field = bytes.TrimSuffix(field, []byte{'\r'})
			}
			if bytes.IndexByte(field, '"') >= 0 {
				return bad(csv.ErrBareQuote)
			}
			rest = rest[end:]
		}
		fields = append(fields, field)
		if len(rest) == 0 {
			return csvLine{fields: fields, n: len(b)}
		}
		last := rest[0] == '\n'
		rest = rest[1:]
		if last {
			return csvLine{fields: fields, n: len(b) - len(rest), ended: true}
		}
	}
}

// quoted parses a field after its opening quote.
func quoted(b []byte) (field, rest []byte, closed bool) {
	rest = b
	for {
		i := bytes.IndexByte(rest, '"')
		if i < 0 {
			return nil, nil, false
		}
		if i+1 == len(rest) || rest[i+1] != '"' {
			if field == nil {
				field = rest[:i:i]
			} else {
				field = append(field, rest[:i]...)
			}
			return bytes.ReplaceAll(field, []byte("\r\n"), []byte("\n")), rest[i+1:], true
		}
		field = append(field, rest[:i+1]...)
		rest = rest[i+2:]
	}
}
