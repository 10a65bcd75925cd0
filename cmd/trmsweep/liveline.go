package main

import (
	"fmt"
	"io"
	"os"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// liveLine shows one changing line: rewritten in place on a terminal, and
// elsewhere a new line when it changed and the last one is some seconds old.
type liveLine struct {
	w     io.Writer
	width int // of the terminal, 0 = not a terminal
	last  string
	at    time.Time
	now   func() time.Time
}

// plainGap is the time between lines if there is no terminal.
const plainGap = 5 * time.Second

func newLiveLine(w io.Writer) *liveLine {
	l := &liveLine{w: w, now: time.Now}
	if o, ok := w.(*output); ok {
		w = o.w
	}
	if f, ok := w.(*os.File); ok {
		if ws, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil {
			l.width = int(ws.Col)
		}
	}
	return l
}

// show replaces the line; final keeps it for good.
func (l *liveLine) show(line string, final bool) {
	switch {
	case l.width > 0:
		shown := line
		if utf8.RuneCountInString(shown) >= l.width {
			shown = string([]rune(shown)[:l.width-1])
		}
		fmt.Fprintf(l.w, "\r\x1b[K%s", shown)
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
