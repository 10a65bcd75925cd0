package dataset

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// columns says which columns of a CSV are used; -1 stands for one that it does not have.
type columns struct {
	n                        int
	question, answer, rating int
}

// columnNames are the headers of public sets, in small letters. What a column has is computed
// where the file does not say it; the others are not used.
var columnNames = map[string]string{
	"question": "question", "puzzle": "question", "puzzles": "question", "quiz": "question", "quizzes": "question",
	"answer": "answer", "solution": "answer", "solutions": "answer",
	"rating": "rating",
	"source": "", "id": "", "clues": "", "difficulty": "",
}

var errNoHeader = errors.New("no header")

// parseHeader understands the first line of a CSV. errNoHeader: no column has a
// known name. Other errors name known columns only, never what else is in the file.
func parseHeader(line []byte) (columns, error) {
	c := columns{question: -1, answer: -1, rating: -1}
	rec, _, fault, _ := csvRecord(line, nil)
	known, strange := 0, 0
	for i, field := range rec {
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
	c.n = len(rec)
	switch {
	case known == 0:
		return c, errNoHeader
	case fault != "":
		return c, fmt.Errorf("the header cannot be read: %s", fault)
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

// csvRecord cuts the first record from b by the rules of encoding/csv, which has no
// limit of its own. n is its length. fault is what encoding/csv says of it. It is
// not ended where b ends before it does. Fields are parts of b where that is possible.
func csvRecord(b []byte, fields [][]byte) (rec [][]byte, n int, fault string, ended bool) {
	rest := b
	endOfLine := func() int { // in b
		if i := bytes.IndexByte(rest, '\n'); i >= 0 {
			return len(b) - len(rest) + i + 1
		}
		return len(b)
	}
	bad := func(err error) ([][]byte, int, string, bool) {
		n := endOfLine()
		return fields, n, err.Error(), n > 0 && b[n-1] == '\n'
	}
	for {
		var field []byte
		if len(rest) > 0 && rest[0] == '"' {
			var closed bool
			if field, rest, closed = quoted(rest[1:]); !closed {
				return fields, len(b), csv.ErrQuote.Error(), false
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
			return fields, len(b), "", false
		}
		last := rest[0] == '\n'
		rest = rest[1:]
		if last {
			return fields, len(b) - len(rest), "", true
		}
	}
}

// quoted reads a field whose first quote is read already.
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
