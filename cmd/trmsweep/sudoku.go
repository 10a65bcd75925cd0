package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"trmsweep/internal/sudoku"
)

func newSudokuCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "sudoku", Short: "Solve and rate puzzles"}
	var f solveFlags
	solve := &cobra.Command{
		Use:   "solve [FILE|-]",
		Short: "Solve one puzzle a line",
		Long: `Read one puzzle a line (81 characters, '.' or 0 for a blank; what follows a
space or comma is ignored) and write one line each: the solution, "no solution",
or "several solutions"; with --rate, a space and the rating (the guesses that a
search takes back, averaged over orders) follow a solution.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return runSolve(a, cmd.InOrStdin(), f, args) },
	}
	solve.Flags().IntVar(&f.limit, "count-limit", 2, "stop counting solutions there; 1 = any solution will do")
	solve.Flags().BoolVar(&f.rate, "rate", false, "add the rating")
	solve.Flags().BoolVar(&f.json, "json", false, "end with a summary as one line of JSON")
	cmd.AddCommand(solve)
	return cmd
}

type solveFlags struct {
	limit      int
	rate, json bool
}

// solveSummary is the last line with --json.
type solveSummary struct {
	Puzzles          int64   `json:"puzzles"`
	Solved           int64   `json:"solved"`
	NoSolution       int64   `json:"no_solution"`
	SeveralSolutions int64   `json:"several_solutions"`
	Seconds          float64 `json:"seconds"`
	PuzzlesPerSecond float64 `json:"puzzles_per_second"`
	Cores            int     `json:"cores"`
}

// solveChunk is one worker's portion; out is ready when done is closed.
type solveChunk struct {
	first int64
	lines []string
	out   []byte
	sum   solveSummary
	err   error
	done  chan struct{}
}

func runSolve(a *app, in io.Reader, f solveFlags, args []string) error {
	if f.limit < 1 {
		return usagef("--count-limit is %d, must be at least 1", f.limit)
	}
	name := "standard input"
	if len(args) == 1 && args[0] != "-" {
		file, err := os.Open(args[0])
		if err != nil {
			return usageError{fmt.Errorf("read puzzles: %w", err)}
		}
		defer file.Close()
		in, name = file, args[0]
	}
	start := time.Now()
	n := runtime.GOMAXPROCS(0)
	work, ordered := make(chan *solveChunk, n), make(chan *solveChunk, 2*n)
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			var s sudoku.Solver
			for c := range work {
				c.solve(&s, f)
				close(c.done)
			}
		})
	}
	var readErr error
	go func() {
		defer close(work)
		defer close(ordered)
		readErr = readChunks(in, func(c *solveChunk) { ordered <- c; work <- c })
	}()
	out := bufio.NewWriter(a.stdout)
	var sum solveSummary
	var firstErr error
	for c := range ordered {
		<-c.done
		if firstErr != nil {
			continue
		}
		if _, err := out.Write(c.out); err != nil {
			firstErr = err
		}
		sum.add(c.sum)
		if firstErr == nil && c.err != nil {
			firstErr = fmt.Errorf("%s: %w", name, c.err)
		}
	}
	wg.Wait()
	if firstErr == nil && readErr != nil {
		firstErr = fmt.Errorf("read %s: %w", name, readErr)
	}
	if firstErr == nil && f.json {
		sum.Seconds, sum.Cores = time.Since(start).Seconds(), n
		sum.PuzzlesPerSecond = float64(sum.Puzzles) / sum.Seconds
		b, err := json.Marshal(sum)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s\n", b)
	}
	if err := out.Flush(); firstErr == nil {
		firstErr = err
	}
	return firstErr
}

func readChunks(in io.Reader, send func(*solveChunk)) error {
	sc := bufio.NewScanner(in)
	sc.Buffer(make([]byte, 1<<16), 1<<20)
	c := &solveChunk{first: 1, done: make(chan struct{})}
	line := int64(0)
	for sc.Scan() {
		line++
		if c.lines = append(c.lines, sc.Text()); len(c.lines) == 256 {
			send(c)
			c = &solveChunk{first: line + 1, done: make(chan struct{})}
		}
	}
	if len(c.lines) > 0 {
		send(c)
	}
	if err := sc.Err(); err != nil {
		return fmt.Errorf("line %d: %w; want one puzzle of 81 characters a line", line+1, err)
	}
	return nil
}

func (c *solveChunk) solve(s *sudoku.Solver, f solveFlags) {
	for i, line := range c.lines {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		if len(line) > 81 && strings.ContainsRune(" ,;\t", rune(line[81])) {
			line = line[:81]
		}
		q, err := sudoku.Parse(line)
		if err != nil {
			c.err = fmt.Errorf("line %d: %w", c.first+int64(i), err)
			return
		}
		c.sum.Puzzles++
		switch n := s.Count(&q, f.limit); {
		case n == 0:
			c.sum.NoSolution++
			c.out = append(c.out, "no solution\n"...)
		case n > 1:
			c.sum.SeveralSolutions++
			c.out = append(c.out, "several solutions\n"...)
		default:
			c.sum.Solved++
			c.out = append(c.out, s.First().String()...)
			if f.rate {
				c.out = fmt.Appendf(c.out, " %d", s.Rate(&q))
			}
			c.out = append(c.out, '\n')
		}
	}
}

func (s *solveSummary) add(o solveSummary) {
	s.Puzzles += o.Puzzles
	s.Solved += o.Solved
	s.NoSolution += o.NoSolution
	s.SeveralSolutions += o.SeveralSolutions
}
