package main

import (
	"fmt"
	"io"
	"time"

	"trmsweep/internal/terminal"
)

// liveLine shows one changing line: rewritten in place on a terminal, and
// elsewhere a new line when it changed and the last one is some seconds old.
type liveLine struct {
	w     io.Writer
	width func() int // of the terminal now, 0 = not a terminal
	last  string
	at    time.Time
	now   func() time.Time
}

// plainGap is the time between lines if there is no terminal.
const plainGap = 5 * time.Second

func newLiveLine(w io.Writer) *liveLine {
	t := terminal.Of(w)
	return &liveLine{w: w, width: func() int { return t.Size().Width }, now: time.Now}
}

// show replaces the line; final keeps it for good.
func (l *liveLine) show(line string, final bool) {
	width := l.width()
	switch {
	case width > 0:
		fmt.Fprintf(l.w, "\r\x1b[K%s", terminal.Cut(line, max(width-1, 1))) // a full line would move the cursor to the next one
		if final {
			fmt.Fprintln(l.w)
		}
	case line != l.last:
		if final || l.now().Sub(l.at) >= plainGap {
			fmt.Fprintln(l.w, line)
			l.at, l.last = l.now(), line
		}
	}
}
