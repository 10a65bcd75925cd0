package experiment

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/viper"
)

// DefaultProfile leaves everything as the study has it.
const DefaultProfile = "paper"

// Resolve composes base.yaml <- experiments/<name>.yaml <- the profile's scaling
// <- environment <- sets (KEY=VALUE, absolute) and validates the outcome. An
// empty profile is DefaultProfile. environ is in the form of os.Environ; only
// variables that start with EnvPrefix count. The error is Faults: everything
// that is wrong, each with file, line and key.
func Resolve(configs fs.FS, name, profileName string, sets, environ []string) (Spec, error) {
	if err := checkExperiment(configs, name); err != nil {
		return Spec{}, err
	}
	if profileName == "" {
		profileName = DefaultProfile
	}
	var faults Faults
	read := func(l layer, err error) layer {
		faults.merge(err)
		return l
	}
	base := read(readLayer(configs, "base.yaml"))
	exp := read(readLayer(configs, "experiments/"+name+".yaml"))
	unread := slices.ContainsFunc(faults, func(f Fault) bool { return f.Key == "" }) // a whole file
	env := read(environment(environ))
	set := read(assignments("--set", sets))
	prof, err := readProfile(configs, profileName)
	faults.merge(err)
	if err != nil { // its values would only be found wrong because they are not scaled
		return Spec{}, faults
	}
	if unread { // what the file would have set is not wrong
		return Spec{}, faults
	}
	spec, origins, err := compose(base, exp, prof, env, set)
	faults.merge(err)
	spec.Name, spec.Profile = name, profileName
	if spec.PuzzleEmbLR == 0 {
		spec.PuzzleEmbLR = spec.LR
	}
	if known, _ := Experiments(configs); err == nil && spec.Reference != "" && !slices.Contains(known, spec.Reference) {
		faults = append(faults, Fault{origins["reference"], "reference", fmt.Sprintf("unknown experiment %q%s", spec.Reference,
			Suggest("; the nearest known one is %s", spec.Reference, known))})
	}
	if err == nil {
		faults.merge(located(spec.Validate(), name, origins, faults))
	}
	if len(faults) > 0 {
		return Spec{}, faults
	}
	return spec, nil
}

// located gives faults of values the place where the value was set, and leaves
// out those of keys that could not even be read.
func located(err error, name string, origins map[string]string, unread Faults) error {
	var found, out Faults
	found.merge(err)
	for _, f := range found {
		if slices.ContainsFunc(unread, func(u Fault) bool { return u.Key == f.Key }) {
			continue
		}
		f.Origin = name
		if o := origins[f.Key]; o != "" {
			f.Origin = o
		}
		out = append(out, f)
	}
	return out.orNil()
}

// compose stacks the layers in one viper and decodes the result.
func compose(base, exp layer, prof profile, env, set layer) (Spec, map[string]string, error) {
	v := viper.New()
	origins := map[string]string{}
	merge := func(l layer) error {
		maps.Copy(origins, l.origins)
		return v.MergeConfigMap(maps.Clone(l.values))
	}
	for _, l := range []layer{base, exp} {
		if err := merge(l); err != nil {
			return Spec{}, nil, fmt.Errorf("merge configuration: %w", err)
		}
	}
	scaled, err := prof.apply(v.AllSettings(), maps.Clone(origins), exp)
	if err != nil {
		return Spec{}, nil, err
	}
	for _, l := range []layer{scaled, env, set} {
		if err := merge(l); err != nil {
			return Spec{}, nil, fmt.Errorf("merge configuration: %w", err)
		}
	}
	var spec Spec
	if err := v.UnmarshalExact(&spec); err != nil {
		return Spec{}, nil, fmt.Errorf("decode configuration: %w", err)
	}
	return spec, origins, nil
}

// ResolveSweep expands names (sweeps, phases, experiments; none = AllAblations)
// and resolves every experiment. Faults of all of them come back together, each once.
func ResolveSweep(configs fs.FS, names []string, profileName string, sets, environ []string) ([]Spec, error) {
	var specs []Spec
	var faults Faults
	experiments, err := Expand(configs, names)
	faults.merge(err)
	for _, e := range experiments {
		s, err := Resolve(configs, e, profileName, sets, environ)
		faults.merge(err)
		specs = append(specs, s)
	}
	if len(faults) > 0 {
		return nil, faults
	}
	return specs, nil
}

func checkExperiment(configs fs.FS, name string) error {
	known, err := Experiments(configs)
	if err != nil {
		return err
	}
	if !slices.Contains(known, name) {
		return Faults{{Msg: fmt.Sprintf("unknown experiment %q%s (known: %s)", name,
			Suggest("; the nearest known one is %s", name, known), strings.Join(known, ", "))}}
	}
	return nil
}

// Experiments names the experiments of a configuration folder, sorted.
func Experiments(configs fs.FS) ([]string, error) { return list(configs, "experiments") }
