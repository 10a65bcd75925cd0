package terminal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"
)

// window is a terminal of 80 columns and 24 rows, and what is written to it.
type window struct {
	*os.File // where programs write
	far      *os.File
}

func newWindow(t *testing.T) window {
	t.Helper()
	t.Setenv("TERM", "xterm")
	far, near, err := pty.Open()
	if err != nil {
		t.Skip("no pseudo-terminals here:", err)
	}
	t.Cleanup(func() {
		if err := errors.Join(near.Close(), far.Close()); err != nil {
			t.Error(err)
		}
	})
	w := window{near, far}
	w.resize(t, 80, 24)
	return w
}

func (w window) resize(t *testing.T, columns, rows uint16) {
	t.Helper()
	if err := pty.Setsize(w.File, &pty.Winsize{Cols: columns, Rows: rows}); err != nil {
		t.Fatal(err)
	}
}

// until reads what was written up to a text. The terminal puts a carriage return before each line feed.
func (w window) until(t *testing.T, text string) string {
	t.Helper()
	if err := w.far.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	b := make([]byte, 1)
	for !strings.HasSuffix(got.String(), text) {
		if _, err := w.far.Read(b); err != nil {
			t.Fatalf("%v after %q", err, got.String())
		}
		got.Write(b)
	}
	return got.String()
}

// numbered draws lines that say for which width they were made.
func numbered(n int) func(int) []string {
	return func(width int) []string {
		var lines []string
		for i := range n {
			lines = append(lines, fmt.Sprintf("%d of width %d", i+1, width))
		}
		return append(lines, "end")
	}
}

func TestScreenIsDrawnInPlace(t *testing.T) {
	w := newWindow(t)
	s := NewScreen(w.File, true)
	show := func(n int) {
		t.Helper()
		if err := s.Show(numbered(n)); err != nil {
			t.Fatal(err)
		}
	}
	show(1)
	const below = "\r\r\n\x1b[J" // the terminal's carriage return is the second one
	if d := cmp.Diff("\x1b[?1049h\x1b[H\x1b[2K1 of width 80\r\r\n\x1b[2Kend"+below, w.until(t, "\x1b[J")); d != "" {
		t.Error(d)
	}
	show(2)
	if d := cmp.Diff("\x1b[H\x1b[2K1 of width 80\r\r\n\x1b[2K2 of width 80\r\r\n\x1b[2Kend"+below, w.until(t, "\x1b[J")); d != "" {
		t.Error(d)
	}
	w.resize(t, 60, 4)
	show(10)
	want := "\x1b[H\x1b[2K1 of width 60\r\r\n\x1b[2K2 of width 60\r\r\n\x1b[2K3 of width 60\r\r\n\x1b[2K... and 8 lines more"
	if d := cmp.Diff(want, w.until(t, "more")); d != "" {
		t.Error("more lines than rows:", d)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	got := w.until(t, "end\r\n")
	if !strings.HasPrefix(got, "\x1b[?1049l1 of width 60\r\n") || strings.Count(got, "\n") != 11 {
		t.Errorf("afterwards the terminal has %q", got)
	}
}

// A change of the window's size is followed at once.
func TestScreenFollowsTheWindow(t *testing.T) {
	w := newWindow(t)
	s := NewScreen(w.File, true)
	if err := s.Show(numbered(1)); err != nil {
		t.Fatal(err)
	}
	w.until(t, "\x1b[J")
	w.resize(t, 50, 20)
	if err := syscall.Kill(os.Getpid(), syscall.SIGWINCH); err != nil { // the terminal is not that of the tests: its kernel tells us nothing
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	waited := make(chan error, 1)
	go func() { waited <- s.Wait(ctx, nil) }()
	if got := w.until(t, "\x1b[J"); !strings.Contains(got, "1 of width 50") {
		t.Errorf("it shows %q", got)
	}
	stop()
	if err := <-waited; err != nil {
		t.Error(err)
	}
}

// Scripts get whole lines and no escape sequences, wherever they read them from.
func TestPlainWhereThereIsNoTerminal(t *testing.T) {
	w := newWindow(t)
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, c := range []struct {
		name, term string
		out        *os.File
		read       func() string
	}{
		{"a file", "xterm", file, func() string {
			data, err := os.ReadFile(file.Name())
			if err != nil {
				t.Fatal(err)
			}
			return string(data)
		}},
		{"a dumb terminal", "dumb", w.File, func() string { return strings.ReplaceAll(w.until(t, "end\r\n"), "\r", "") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("TERM", c.term)
			s := NewScreen(wrapped{c.out}, true)
			if err := errors.Join(s.Show(numbered(1)), s.Close()); err != nil {
				t.Fatal(err)
			}
			if got, want := c.read(), "1 of width 0\nend\n"; got != want {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
}

// wrapped is a writer before the real one.
type wrapped struct{ io.Writer }

func (w wrapped) Unwrap() io.Writer { return w.Writer }
