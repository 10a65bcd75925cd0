package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"trmsweep/internal/experiment"
	"trmsweep/internal/preflight"
	"trmsweep/internal/train"
)

// checkMemory refuses a spec of which this host could not hold one copy of the
// state: the runtime would end the process with a dump of its stacks. What fits
// by a smaller margin is preflight's to judge.
func checkMemory(ctx context.Context, s experiment.Spec) error {
	oneCopy := func(s experiment.Spec) float64 { return float64(s.CheckpointBytes()) }
	_, err := preflight.Memory([]experiment.Spec{s}, 1, oneCopy).Run(ctx)
	if err == nil || errors.Is(err, fs.ErrNotExist) { // not on Linux
		return nil
	}
	return fmt.Errorf("%w for one copy of the state alone: %w", train.ErrHostMemory, err)
}
