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
	gradients    = "gradients"     // one supervision step of a shard, forward and backward
	addGradients = "add_gradients" // the sum of two shards' gradients
	apply        = "apply"         // one update by the optimizers and of the EMA
	evaluate     = "evaluate"      // one supervision step, forward only
)

// order is the order of compilation: the program that needs most memory comes first.
var order = []string{gradients, addGradients, apply, evaluate}

// puzzleIdentifiers is the number of puzzle identifiers of every Sudoku dataset: all puzzles share one.
const puzzleIdentifiers = 1

var moduleName = regexp.MustCompile(`^\s*module @(\w+)`)

// Job is an experiment with its programs.
type Job struct {
	Spec     experiment.Spec
	Programs map[string]Program // key: name of the program
}

// Shards returns the number of executions of the gradients program for one batch.
func (j Job) Shards() int { return max(j.Spec.GradientShards, 1) }

// NewJob captures the programs of an experiment.
func NewJob(s experiment.Spec) (Job, error) {
	j := Job{Spec: s, Programs: map[string]Program{}}
	captured, err := Capture(func(b backends.Backend) error {
		m, err := trm.New(b, trm.ConfigFromSpec(s, puzzleIdentifiers))
		if err != nil {
			return err
		}
		defer m.Close()
		return m.Prepare(context.Background(), s.EvalBatchSize)
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
