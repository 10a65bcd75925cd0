package aot

import (
	"context"
	"fmt"
	"regexp"

	"github.com/gomlx/gomlx/backends"

	"trmsweep/internal/experiment"
	"trmsweep/internal/trm"
)

// The programs of an experiment, by the names of their modules.
const (
	gradients = "gradients" // one supervision step forward and backward
	apply     = "apply"     // the optimizers and the EMA
	evaluate  = "evaluate"  // one supervision step forward
)

// order is that in which they are compiled: the one that needs most memory first.
var order = []string{gradients, apply, evaluate}

// puzzleIdentifiers of every Sudoku data set: all puzzles share one.
const puzzleIdentifiers = 1

var moduleName = regexp.MustCompile(`^\s*module @(\w+)`)

// Job is an experiment whose batch is computed in parts of some rows, and its programs.
type Job struct {
	Spec     experiment.Spec
	Rows     int // of one part
	EvalRows int
	Programs map[string]Program // by name
}

// Parts is how many executions of the gradients' program make one batch.
func (j Job) Parts() int { return (j.Spec.GlobalBatchSize + j.Rows - 1) / j.Rows }

// NewJob captures the programs of an experiment that computes so many rows at once, 0 = the whole batch.
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
