package main

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"

	"trmsweep/internal/experiment"
	"trmsweep/internal/study"
	"trmsweep/workflows"
)

// checkSweep finds what is wrong with a sweep or experiment to start before
// anything runs; the worker checks again with its own configuration and environment.
func checkSweep(a *app, name string, in study.SweepInput) error {
	files, err := a.configs()
	if err != nil {
		return err
	}
	sweeps, err := experiment.Sweeps(files)
	if err != nil {
		return err
	}
	names := slices.Concat(in.Phases, in.Experiments)
	switch {
	case slices.Contains(workflows.Types, name):
		if slices.Contains(sweeps, name) {
			names = append(names, name)
		}
	case slices.Contains(experiment.Phases, name):
		return usagef("%s is a phase, not a sweep; `trmsweep start %s --phases %s` starts it", name, workflows.AllAblationsType, name)
	case slices.Contains(sweeps, name):
		return usagef("%s is a sweep to plan and to report on; workflows run %s: list its experiments in one of those, or start "+
			"them one by one", name, strings.Join(sweepTypes, ", "))
	default:
		names = append(names, name)
	}
	if slices.Contains(sweeps, name) {
		if err := checkMembers(files, name, in.Experiments); err != nil {
			return err
		}
	}
	_, err = experiment.ResolveSweep(files, names, in.Profile, in.Overrides, nil)
	if err == nil || in.Profile != "" {
		return configError(err)
	}
	profiles, perr := experiment.Profiles(files)
	if perr != nil {
		return perr
	}
	for _, p := range profiles { // the worker's own profile, whichever that is, decides
		if _, other := experiment.ResolveSweep(files, names, p, in.Overrides, nil); other == nil {
			return nil
		}
	}
	return configError(err)
}

// checkMembers refuses experiments that the sweep does not have; names that
// nothing has are told elsewhere.
func checkMembers(files fs.FS, sweep string, names []string) error {
	members, err := experiment.Expand(files, []string{sweep})
	if err != nil {
		return configError(err)
	}
	known, err := experiment.Experiments(files)
	if err != nil {
		return configError(err)
	}
	for _, n := range names {
		if slices.Contains(known, n) && !slices.Contains(members, n) {
			return usagef("%s is not in %s; it has %s", n, sweep, strings.Join(members, ", "))
		}
	}
	return nil
}

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
