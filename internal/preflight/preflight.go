// Package preflight runs checks before hours of chips are spent. A check that
// hangs becomes a failed check; the package never changes what it looks at.
package preflight

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// Check is one question with a yes or no.
type Check struct {
	Name    string
	Timeout time.Duration                             // 0 = 30 s
	Run     func(ctx context.Context) (string, error) // what was found, or what is wrong and what to do
}

// Row is a check's answer.
type Row struct {
	Check   string  `json:"check"`
	OK      bool    `json:"ok"`
	Detail  string  `json:"detail"`
	Seconds float64 `json:"seconds"`
}

// Table is all answers in order.
type Table struct {
	OK   bool  `json:"ok"`
	Rows []Row `json:"rows"`
}

// Run runs every check, one after another, whatever the others say.
func Run(ctx context.Context, checks []Check) Table {
	t := Table{OK: true}
	for _, c := range checks {
		t.Add(runOne(ctx, c))
	}
	return t
}

// Add appends answers.
func (t *Table) Add(rows ...Row) {
	for _, r := range rows {
		t.OK = t.OK && r.OK
		t.Rows = append(t.Rows, r)
	}
}

// Faults are the answers that are no.
func (t Table) Faults() []Row {
	var out []Row
	for _, r := range t.Rows {
		if !r.OK {
			out = append(out, r)
		}
	}
	return out
}

// Markdown is the table for the Web UI.
func (t Table) Markdown() string {
	var b strings.Builder
	b.WriteString("| check | result | detail |\n|---|---|---|\n")
	for _, r := range t.Rows {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", r.Check, r.word(), strings.NewReplacer("|", "\\|", "\n", " ").Replace(r.Detail))
	}
	return b.String()
}

func (r Row) word() string {
	if r.OK {
		return "ok"
	}
	return "FAILED"
}

func runOne(ctx context.Context, c Check) Row {
	if c.Timeout == 0 {
		c.Timeout = 30 * time.Second
	}
	limited, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	type answer struct {
		detail string
		err    error
	}
	got := make(chan answer, 1)
	begin := time.Now()
	go func() {
		defer func() {
			if p := recover(); p != nil {
				got <- answer{err: fmt.Errorf("panic: %v", p)}
			}
		}()
		d, err := c.Run(limited)
		got <- answer{d, err}
	}()
	row := Row{Check: c.Name}
	select {
	case a := <-got:
		row.OK, row.Detail = a.err == nil, a.detail
		if a.err != nil {
			row.Detail = a.err.Error()
		}
	case <-limited.Done():
		row.Detail = fmt.Sprintf("no answer within %s", c.Timeout)
	}
	if !row.OK && ctx.Err() != nil { // the caller was told to stop: nothing is known
		row.Detail = "not checked to the end: " + context.Cause(ctx).Error()
	}
	row.Seconds = time.Since(begin).Seconds()
	return row
}

// Write prints the table for people.
func (t Table) Write(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(tw, "CHECK\tRESULT\tDETAIL")
	for _, r := range t.Rows {
		fmt.Fprintf(tw, "%s\t%s\t%s\n", r.Check, r.word(), r.Detail)
	}
	return tw.Flush()
}
