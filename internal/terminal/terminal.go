// Package terminal fits what commands show to where it is shown: tables to the width of a terminal, and what changes to a
// screen that is drawn again in place. Where there is no terminal (a pipe, a file, TERM=dumb) everything is plain lines as wide as
// they need. Widths are counted in runes. It knows nothing of what is shown.
package terminal

import (
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// Terminal is where a command writes, if that is a terminal. The zero value is none.
type Terminal struct{ file *os.File }

// Of returns the terminal that w writes to. A writer that wraps another has a method Unwrap.
func Of(w io.Writer) Terminal {
	if wrapped, ok := w.(interface{ Unwrap() io.Writer }); ok {
		return Of(wrapped.Unwrap())
	}
	f, ok := w.(*os.File)
	name := os.Getenv("TERM")
	if !ok || name == "" || name == "dumb" {
		return Terminal{}
	}
	t := Terminal{f}
	if t.Size().Width == 0 {
		return Terminal{}
	}
	return t
}

// Size is that of a terminal, in characters.
type Size struct{ Width, Height int }

// Size is the size that the terminal has now; zero if there is none.
func (t Terminal) Size() Size {
	if t.file == nil {
		return Size{}
	}
	ws, err := unix.IoctlGetWinsize(int(t.file.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return Size{}
	}
	return Size{int(ws.Col), int(ws.Row)}
}

// Cut shortens a text to a width; an ellipsis stands for what was cut off. Width 0 does not limit it.
func Cut(text string, width int) string {
	if width <= 0 || utf8.RuneCountInString(text) <= width {
		return text
	}
	return string([]rune(text)[:width-1]) + "…"
}

// Wrap breaks lines into pieces of at most width; 0 does not limit them.
func Wrap(lines []string, width int) []string {
	if width <= 0 {
		return lines
	}
	var out []string
	for _, line := range lines {
		runes := []rune(line)
		for len(runes) > width {
			out = append(out, strings.TrimRight(string(runes[:width]), " "))
			runes = runes[width:]
		}
		out = append(out, string(runes))
	}
	return out
}
