package main

import (
	"errors"
	"io/fs"
	"os"

	"trmsweep/internal/experiment"
)

// seededSpecs resolves a sweep for every seed; faults are usage errors.
func seededSpecs(files fs.FS, names []string, profile string, sets []string, seeds []int64) ([]experiment.Spec, error) {
	specs, err := experiment.ResolveSweep(files, names, profile, sets, os.Environ())
	var faults experiment.Faults
	if errors.As(err, &faults) {
		return nil, usageError{err}
	}
	if err != nil || len(seeds) == 0 {
		return specs, err
	}
	var out []experiment.Spec
	for _, s := range specs {
		for _, seed := range seeds {
			s.Seed = seed
			out = append(out, s)
		}
	}
	return out, nil
}
