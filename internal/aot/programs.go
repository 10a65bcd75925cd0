package aot

import (
	"context"
	"fmt"
	"regexp"

	"github.com/gomlx/gomlx/backends"

	"trmsweep/internal/experiment"
	"trmsweep/internal/trm"
)

// Names of the programs of an experiment.
const (
	gradients = "gradients" // one supervision step, forward and backward
	apply     = "apply"     // one update by the optimizers and of the EMA
	evaluate  = "evaluate"  // one supervision step, forward only
)

// order is the order of compilation: the program that needs most memory comes first.
var order = []string{gradients, apply, evaluate}

// puzzleIdentifiers is the number of puzzle identifiers of every Sudoku dataset: all puzzles share one.
const puzzleIdentifiers = 1

var moduleName = regexp.MustCompile(`^\s*module @(\w+)`)

// Job is an experiment with its programs. The batch is computed in parts of Rows rows.
type Job struct {
	Spec     experiment.Spec
	Rows     int // rows of one part
	EvalRows int
	Programs map[string]Program // key: name of the program
}

// Parts returns the number of executions of the gradients program for one batch.
func (j Job) Parts() int { return (j.Spec.GlobalBatchSize + j.Rows - 1) / j.Rows }

// NewJob captures the programs of an experiment that computes this number of rows at once; 0 = the whole batch.
func NewJob(s experiment.Spec, rows int) (Job, error) {
	j := Job{Spec: s, Rows: s.GlobalBatchSize, EvalRows: s.EvalBatchSize, Programs: map[string]Program{}}
	if rows > 0 {
		j.Rows, j.EvalRows = min(rows, j.Rows), min(rows, j.EvalRows)
	}
	s.GlobalBatchSize = j.Rows
	captured, err := Capture(func(b backends.Backend) error {
		m, err := trm.New(b, trm.ConfigFromSpec(s, puzzleIdentifiers))
		if err != nil {
			return err
		}
		defer m.Close()
		return m.Prepare(context.Background(), j.EvalRows)
	})
	if err != nil {
		return Job{}, fmt.Errorf("build the programs of %s: %w", s.Name, err)
	}
	for _, p := range captured {
		m := moduleName.FindSubmatch(p.Code)
		if m == nil {
			return Job{}, fmt.Errorf("build the programs of %s: a module without a name: %.60q", s.Name, p.Code)
		}
		j.Programs[string(m[1])] = p
	}
	return j, nil
}
