// Package request checks what users ask for before anything is started: sweeps and experiments by name, and the JSON input of
// workflows. Workers check again, with their own configuration and environment. It asks nobody.
package request

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"trmsweep/internal/experiment"
	"trmsweep/internal/queues"
	"trmsweep/internal/study"
)

// Input finds what is wrong with the JSON input of a workflow type. Of a type that it does not know it finds nothing.
func Input(files fs.FS, kind string, raw json.RawMessage) error {
	switch kind {
	case "Experiment":
		var in study.ExperimentInput
		faults := study.DecodeStrict(raw, &in)
		name := in.Experiment
		if name == "" {
			name = "e1_1_baseline"
		}
		return check(files, name, in.Sweep(), faults)
	case "DatasetGeneration", "Preflight":
		return listed(files, kind, raw)
	}
	if !slices.Contains(queues.WorkflowTypes, kind) {
		return nil
	}
	var in study.SweepInput
	faults := study.DecodeStrict(raw, &in)
	return check(files, kind, in, faults)
}

// listInput is the input of workflows that list experiments.
type listInput struct {
	Profile     string   `json:"profile"`
	Experiments []string `json:"experiments"`
	Overrides   []string `json:"overrides"`
}

type preflightInput struct {
	listInput
	Preflight string `json:"preflight"`
}

func listed(files fs.FS, kind string, raw json.RawMessage) error {
	var in preflightInput
	fields := any(&in)
	if kind == "DatasetGeneration" {
		fields = &in.listInput
	}
	if faults := study.DecodeStrict(raw, fields); len(faults) > 0 {
		return errors.New(strings.Join(faults, "; "))
	}
	return resolve(files, in.Experiments, in.Profile, in.Overrides)
}

func check(files fs.FS, name string, in study.SweepInput, faults []string) error {
	faults = append(faults, in.Faults()...)
	if err := Sweep(files, name, in); err != nil {
		faults = append(faults, err.Error())
	}
	if len(faults) == 0 {
		return nil
	}
	return errors.New(strings.Join(faults, "; "))
}

// Sweep finds what is wrong with a sweep, or with an experiment that is started alone.
func Sweep(files fs.FS, name string, in study.SweepInput) error {
	sweeps, err := experiment.Sweeps(files)
	if err != nil {
		return err
	}
	names := slices.Concat(in.Phases, in.Experiments)
	switch {
	case slices.Contains(queues.WorkflowTypes, name):
		if slices.Contains(sweeps, name) {
			names = append(names, name)
		}
	case slices.Contains(experiment.Phases, name):
		return fmt.Errorf("%s is a phase, not a sweep; `trmsweep start %s --phases %s` starts it", name, experiment.AllAblations, name)
	case slices.Contains(sweeps, name):
		return fmt.Errorf("%s is a sweep to plan and to report on; workflows run AllAblations, TNSweep, BatchSweep: list its experiments in "+
			"one of those, or start them one by one", name)
	default:
		names = append(names, name)
	}
	if slices.Contains(sweeps, name) {
		if err := members(files, name, in.Experiments); err != nil {
			return err
		}
	}
	return resolve(files, names, in.Profile, in.Overrides)
}

// members refuses experiments that the sweep does not have; names that nothing has are told elsewhere.
func members(files fs.FS, sweep string, names []string) error {
	has, err := experiment.Expand(files, []string{sweep})
	if err != nil {
		return err
	}
	known, err := experiment.Experiments(files)
	if err != nil {
		return err
	}
	for _, n := range names {
		if slices.Contains(known, n) && !slices.Contains(has, n) {
			return fmt.Errorf("%s is not in %s; it has %s", n, sweep, strings.Join(has, ", "))
		}
	}
	return nil
}

// resolve resolves experiments with a profile. Without one the worker's decides, whichever that is: then it is an error if no
// profile will do, with the faults that all profiles have, else with those of each.
func resolve(files fs.FS, names []string, profile string, overrides []string) error {
	if profile != "" {
		_, err := experiment.ResolveSweep(files, names, profile, overrides, nil)
		return err
	}
	profiles, err := experiment.Profiles(files)
	if err != nil {
		return err
	}
	var common, each experiment.Faults
	for i, p := range profiles {
		_, err := experiment.ResolveSweep(files, names, p, overrides, nil)
		if err == nil {
			return nil
		}
		var faults experiment.Faults
		if !errors.As(err, &faults) {
			return err
		}
		for _, f := range faults {
			f.Msg += fmt.Sprintf(", with profile %s (--profile names one)", p)
			each = append(each, f)
		}
		if i == 0 {
			common = slices.Clone(faults)
		}
		common = slices.DeleteFunc(common, func(f experiment.Fault) bool { return !slices.Contains(faults, f) })
	}
	if len(common) > 0 {
		return common
	}
	return each
}
