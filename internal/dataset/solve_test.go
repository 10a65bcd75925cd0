package dataset

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Solve reads what Build reads, packed or not, and pipes.
func TestSolve(t *testing.T) {
	p, two, none := threePuzzles()
	dir := t.TempDir()
	text := fmt.Appendf(nil, "\ufeff# x\n%s\n%s\nxyz\n\n%s:1\n", p.Question, two, none)
	want := []string{fmt.Sprint("1 ", p.Answer), "2 ", "line 4: puzzle has 3 characters, want 81", "0 "}
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	go func() { _ = os.WriteFile(pipe, text, 0) }()
	for _, c := range []struct {
		name, path string
		stdin      io.Reader
	}{
		{"a file", writeFile(t, filepath.Join(dir, "a.txt"), text), nil},
		{"gzip", writeFile(t, filepath.Join(dir, "a.gz"), gzipped(t, text)), nil},
		{"zstd", writeFile(t, filepath.Join(dir, "a.zst"), zstded(t, text)), nil},
		{"gzip by another name", writeFile(t, filepath.Join(dir, "b.txt"), gzipped(t, text)), nil},
		{"standard input", "-", bytes.NewReader(text)},
		{"packed standard input", "-", bytes.NewReader(zstded(t, text))},
		{"a pipe", pipe, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			err := Solve(t.Context(), SolveOptions{Path: c.path, Stdin: c.stdin, Limit: 2}, func(s Solved) error {
				if s.Fault == "" {
					s.Fault = fmt.Sprint(s.Solutions, " ", s.Solution)
				}
				got = append(got, s.Fault)
				return nil
			})
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%v %q", err, got)
			}
		})
	}
	err := Solve(t.Context(), SolveOptions{Path: dir, Limit: 2}, func(Solved) error { return nil })
	if !errors.Is(err, ErrOptions) || !strings.Contains(err.Error(), "is a folder") {
		t.Errorf("a folder: %v", err)
	}
}

// Neither a count without end nor a pipe that says nothing keeps Solve from ending.
func TestSolveEndsWithItsContext(t *testing.T) {
	silent, w := io.Pipe()
	defer w.Close()
	for name, in := range map[string]io.Reader{"an empty grid": strings.NewReader(strings.Repeat(".", 81)), "a silent pipe": silent} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		ended := make(chan error, 1)
		go func() {
			ended <- Solve(ctx, SolveOptions{Path: "-", Stdin: in, Limit: 1 << 62}, func(Solved) error { return nil })
		}()
		select {
		case err := <-ended:
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v", name, err)
			}
		case <-time.After(time.Minute):
			t.Fatalf("%s: it goes on", name)
		}
	}
}
