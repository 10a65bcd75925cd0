package experiment

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Phases of the study, in the order in which they run.
var Phases = []string{"baseline", "ablations", "scaling", "advanced"}

// AllAblations is the sweep of the whole study.
const AllAblations = "AllAblations"

// Sweeps names the sweeps of a configuration folder, sorted.
func Sweeps(configs fs.FS) ([]string, error) { return list(configs, "sweeps") }

// Expand turns names of sweeps, phases and experiments into experiments, each
// once, in the order of first mention; a phase's experiments come sorted. No
// names at all mean AllAblations.
func Expand(configs fs.FS, names []string) ([]string, error) {
	if len(names) == 0 {
		names = []string{AllAblations}
	}
	var out []string
	var faults Faults
	for _, n := range names {
		members, err := expandOne(configs, n)
		faults.merge(err)
		for _, m := range members {
			if !slices.Contains(out, m) {
				out = append(out, m)
			}
		}
	}
	return out, faults.orNil()
}

func expandOne(configs fs.FS, name string) ([]string, error) {
	sweeps, err := Sweeps(configs)
	if err != nil {
		return nil, err
	}
	experiments, err := Experiments(configs)
	if err != nil {
		return nil, err
	}
	switch {
	case slices.Contains(experiments, name):
		return []string{name}, nil
	case slices.Contains(Phases, name):
		return phaseMembers(configs, name, experiments)
	case slices.Contains(sweeps, name):
		return sweepMembers(configs, name, experiments)
	}
	known := slices.Concat(sweeps, Phases, experiments)
	return nil, Faults{{Msg: fmt.Sprintf("unknown sweep, phase or experiment %q%s (sweeps: %s; phases: %s)",
		name, Suggest("; the nearest known one is %s", name, known), strings.Join(sweeps, ", "), strings.Join(Phases, ", "))}}
}

func phaseMembers(configs fs.FS, phase string, experiments []string) ([]string, error) {
	var out []string
	var faults Faults
	for _, e := range experiments {
		l, err := readLayer(configs, "experiments/"+e+".yaml")
		faults.merge(err)
		if l.values["phase"] == phase {
			out = append(out, e)
		}
	}
	return out, faults.orNil()
}

// sweepMembers reads a sweep file: `phases` and/or `experiments`, lists of names.
func sweepMembers(configs fs.FS, name string, experiments []string) ([]string, error) {
	file := "sweeps/" + name + ".yaml"
	m, err := readMapping(configs, file)
	if err != nil {
		return nil, err
	}
	var out []string
	var faults Faults
	each(file, m, &faults, func(key string, k, v *yaml.Node) {
		var known []string
		switch key {
		case "description":
			return
		case "phases":
			known = Phases
		case "experiments":
			known = experiments
		default:
			faults = append(faults, Fault{at(file, k), key, "unknown key" + Suggest("; the nearest known key is %s", key,
				[]string{"description", "phases", "experiments"})})
			return
		}
		if v.Kind != yaml.SequenceNode {
			faults = append(faults, Fault{at(file, v), key, "want a list of names"})
			return
		}
		for _, item := range v.Content {
			item = plain(item)
			if !slices.Contains(known, item.Value) {
				faults = append(faults, Fault{at(file, item), key, fmt.Sprintf("unknown name %q%s", item.Value,
					Suggest("; the nearest known one is %s", item.Value, known))})
				continue
			}
			members, err := expandOne(configs, item.Value)
			faults.merge(err)
			out = append(out, members...)
		}
	})
	if len(out) == 0 && len(faults) == 0 {
		faults = append(faults, Fault{Origin: file, Msg: "names no experiment"})
	}
	return out, faults.orNil()
}
