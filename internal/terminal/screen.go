package terminal

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// Escape sequences of terminals.
const (
	enterScreen = "\x1b[?1049h" // the alternate screen: what stood on the terminal comes back afterwards
	leaveScreen = "\x1b[?1049l"
	home        = "\x1b[H"
	eraseLine   = "\x1b[2K" // the whole line
	eraseBelow  = "\x1b[J"
)

// Screen shows text that changes. A terminal shows it in place, as much as its window holds, and the whole text once more
// when the screen is closed. Elsewhere each text follows the last one.
type Screen struct {
	w        io.Writer
	terminal Terminal
	inPlace  bool
	entered  bool // the alternate screen
	resized  chan os.Signal
	draw     func(width int) []string // the last text
}

// NewScreen makes a screen of w. A text that is shown once needs no place of its own. Close the screen.
func NewScreen(w io.Writer, inPlace bool) *Screen {
	s := &Screen{w: w, terminal: Of(w), resized: make(chan os.Signal, 1)}
	s.inPlace = inPlace && s.terminal.file != nil
	if s.inPlace {
		signal.Notify(s.resized, syscall.SIGWINCH)
	}
	return s
}

// Show shows the lines that draw makes for a width; 0 is any. Wait draws them again when the window has changed.
func (s *Screen) Show(draw func(width int) []string) error {
	s.draw = draw
	return s.redraw()
}

// Wait waits for the tick or the end of ctx.
func (s *Screen) Wait(ctx context.Context, tick <-chan time.Time) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick:
			return nil
		case <-s.resized:
			if err := s.redraw(); err != nil {
				return err
			}
		}
	}
}

// redraw shows the last text.
func (s *Screen) redraw() error {
	size := s.terminal.Size()
	if !s.inPlace || size.Width == 0 {
		return s.print(s.draw(size.Width))
	}
	lines := Wrap(s.draw(size.Width), size.Width)
	if hidden := len(lines) - size.Height; hidden > 0 {
		lines = append(lines[:size.Height-1], Cut(fmt.Sprintf("... and %d lines more", hidden+1), size.Width))
	}
	var b strings.Builder
	if !s.entered {
		b.WriteString(enterScreen)
		s.entered = true
	}
	b.WriteString(home)
	for i, line := range lines {
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(eraseLine + line) // in this order: after a full line the cursor stands on its last character
	}
	if len(lines) < size.Height {
		b.WriteString("\r\n" + eraseBelow)
	}
	_, err := io.WriteString(s.w, b.String())
	return err
}

// Close gives the terminal back and leaves the last text on it.
func (s *Screen) Close() error {
	signal.Stop(s.resized)
	if !s.entered {
		return nil
	}
	s.entered = false
	if _, err := io.WriteString(s.w, leaveScreen); err != nil {
		return err
	}
	return s.print(s.draw(s.terminal.Size().Width))
}

func (s *Screen) print(lines []string) error {
	_, err := io.WriteString(s.w, strings.Join(lines, "\n")+"\n")
	return err
}
