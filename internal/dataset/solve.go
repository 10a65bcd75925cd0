package dataset

import (
	"context"
	"io"
)

// SolveOptions say what to solve.
type SolveOptions struct {
	Path    string    // a list or CSV (plain, gzip, zstd), a pipe, or "-"
	Stdin   io.Reader // read for "-"
	Limit   int       // stop counting solutions there
	Rate    bool      // rate the puzzles that have one solution
	SkipBad bool      // see reader
	Workers int       // 0 = all cores
}

// Solved is a puzzle of a file.
type Solved struct {
	Fault     string // of the line, which then holds no puzzle; the rest is empty
	Solutions int    // up to the limit
	Solution  string // where there is one, or Limit is 1
	Rating    int
}

// Solve calls yield for every puzzle of the file, in order. It reads the same files as Build.
func Solve(ctx context.Context, o SolveOptions, yield func(Solved) error) error {
	var raw io.ReadCloser
	if once(o.Path) {
		raw = stream(ctx, o.Path, o.Stdin)
	} else {
		f, err := openRegular(o.Path)
		if err != nil {
			return optionsf("read puzzles: %v", err)
		}
		raw = f
	}
	defer raw.Close()
	in, err := unpack(o.Path, raw)
	if err != nil {
		return err
	}
	defer in.Close()
	read := reader{limit: o.Limit, rate: o.Rate, skipBad: o.SkipBad, workers: o.Workers}
	return read.read(ctx, in, func(p row, fault *errRow) error {
		if fault != nil {
			return yield(Solved{Fault: fault.Error()})
		}
		s := Solved{Solutions: p.solutions, Rating: p.Rating}
		if p.solutions == 1 {
			s.Solution = p.Answer.String()
		}
		return yield(s)
	})
}
