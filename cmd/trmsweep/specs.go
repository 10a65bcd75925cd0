package main

import (
	"errors"
	"io/fs"
	"os"
	"slices"

	"trmsweep/internal/experiment"
)

// configError marks faults of the configuration as the user's.
func configError(err error) error {
	var faults experiment.Faults
	if errors.As(err, &faults) {
		return usageError{err}
	}
	return err
}

// seededSpecs resolves a sweep for every seed; faults are usage errors.
func seededSpecs(files fs.FS, names []string, profile string, sets []string, seeds []int64) ([]experiment.Spec, error) {
	if slices.ContainsFunc(seeds, func(s int64) bool { return s < 0 }) {
		return nil, usagef("--seeds %v: want 0 or more", seeds)
	}
	specs, err := experiment.ResolveSweep(files, names, profile, sets, os.Environ())
	if err != nil || len(seeds) == 0 {
		return specs, configError(err)
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
