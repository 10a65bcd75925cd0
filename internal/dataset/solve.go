package dataset

import (
	"context"
	"io"
)

// SolveOptions specify the puzzles to solve.
type SolveOptions struct {
	Path    string    // a list or CSV (plain, gzip, zstd), a pipe, or "-"
	Stdin   io.Reader // content of the path "-"
	Limit   int       // stop counting the solutions of a puzzle at this number
	Rate    bool      // rate the puzzles that have exactly one solution
	SkipBad bool      // see reader.skipBad
	Workers int       // number of goroutines, 0 = one per core
}

// Solved is the result for one line of a file.
type Solved struct {
	Fault     string // fault of a line that has no valid puzzle; the other fields are empty then
	Solutions int    // number of solutions, at most the limit
	Solution  string // set if there is exactly one solution, or if Limit is 1
	Rating    int
}

// Solve calls yield for every puzzle of the file in order. It reads the same formats as Build.
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
