package experiment

import (
	"fmt"
	"io/fs"
	"math"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// profile changes the size of a study and nothing of its meaning: it multiplies
// what the experiment says, so that what an experiment changes stays changed.
type profile struct {
	file  string
	scale map[string]scaling // key -> factor
	floor map[string]scaling // key -> least value where it is not zero
	set   layer              // absolute values of keys that no experiment changes
}

type scaling struct {
	factor float64
	origin string
}

// exactKeys must scale to a whole number by themselves: rounding or a floor would
// change the ratio between two experiments that differ in the key.
var exactKeys = []string{"h_cycles", "l_cycles", "l_layers", "halt_max_steps", "hidden_size", "num_heads", "global_batch_size", "epochs",
	"eval_interval_epochs", "data_puzzles"}

// Profiles names the profiles of a configuration folder.
func Profiles(configs fs.FS) ([]string, error) { return list(configs, "profiles") }

func readProfile(configs fs.FS, name string) (profile, error) {
	known, err := Profiles(configs)
	if err != nil {
		return profile{}, err
	}
	if !slices.Contains(known, name) {
		return profile{}, Faults{{Msg: fmt.Sprintf("unknown profile %q%s (known: %s)", name,
			Suggest("; the nearest known one is %s", name, known),
			strings.Join(known, ", "))}}
	}
	p := profile{file: "profiles/" + name + ".yaml", scale: map[string]scaling{}, floor: map[string]scaling{}, set: newLayer()}
	m, err := readMapping(configs, p.file)
	if err != nil {
		return profile{}, err
	}
	var faults Faults
	each(p.file, m, &faults, func(section string, k, v *yaml.Node) {
		switch {
		case section == "description":
		case !slices.Contains([]string{"scale", "floor", "set"}, section):
			faults = append(faults, Fault{at(p.file, k), section, "unknown section" + Suggest("; the nearest known one is %s", section,
				[]string{"description", "scale", "floor", "set"})})
		case v.Kind != yaml.MappingNode:
			if v.ShortTag() != "!!null" {
				faults = append(faults, Fault{at(p.file, v), section, "want `key: value` lines below it"})
			}
		case section == "set":
			p.set = decodeLayer(p.file, v, &faults)
		default:
			p.numbers(section, v, &faults)
		}
	})
	for key, f := range p.floor {
		if _, scaled := p.scale[key]; !scaled {
			faults = append(faults, Fault{f.origin, "floor." + key, key + " is not scaled, so nothing would come of its floor; add it to scale " +
				"or take it away"})
		}
	}
	return p, faults.orNil()
}

// numbers reads the sections scale and floor.
func (p *profile) numbers(section string, m *yaml.Node, faults *Faults) {
	each(p.file, m, faults, func(key string, k, v *yaml.Node) {
		fault := func(n *yaml.Node, format string, args ...any) {
			*faults = append(*faults, Fault{at(p.file, n), section + "." + key, fmt.Sprintf(format, args...)})
		}
		f, err := settable(key)
		if err != nil {
			fault(k, "%v", err)
			return
		}
		x, err := field{key: key, kind: reflect.Float64}.decode(v)
		switch {
		case !f.numeric() || strings.HasSuffix(key, "seed"):
			fault(k, "%s cannot be scaled", key)
		case err != nil:
			fault(v, "%v", err)
		case !(x.(float64) > 0) || math.IsInf(x.(float64), 0):
			fault(v, "%v is not a positive number", x)
		case section == "scale":
			p.scale[key] = scaling{x.(float64), at(p.file, v)}
		case slices.Contains(exactKeys, key):
			fault(k, "a floor would make experiments that differ in %s the same; choose another factor", key)
		default:
			p.floor[key] = scaling{x.(float64), at(p.file, v)}
		}
	})
}

// apply scales the values that base and experiment gave. Zero stays zero, any
// other whole number stays at least 1.
func (p profile) apply(values map[string]any, origins map[string]string, changed layer) (layer, error) {
	out := newLayer()
	var faults Faults
	for key, v := range p.set.values {
		if _, yes := changed.values[key]; yes {
			faults = append(faults, Fault{p.set.origins[key], key, "the profile would undo what " + changed.origins[key] + " changes; use scale " +
				"instead of set"})
		}
		out.put(key, v, p.set.origins[key])
	}
	for key, s := range p.scale {
		if o, twice := p.set.origins[key]; twice {
			faults = append(faults, Fault{s.origin, key, "is also set in " + o + "; a profile scales a key or sets it"})
			continue
		}
		v, given := values[key]
		if !given {
			continue
		}
		origin := fmt.Sprintf("%s, scaled by %s", origins[key], s.origin)
		if x, isFloat := v.(float64); isFloat {
			out.put(key, x*s.factor, origin)
			continue
		}
		n := reflect.ValueOf(v).Int()
		x := float64(n) * s.factor
		r := math.Round(x)
		rounded := math.Abs(x-r) > 1e-9*math.Max(1, x)
		vanished := n > 0 && r < 1
		inexact := rounded || vanished
		if inexact && slices.Contains(exactKeys, key) {
			faults = append(faults, Fault{s.origin, key, fmt.Sprintf("%d of %s times %v is not a whole number", n, origins[key], s.factor)})
			continue
		}
		if n != 0 {
			r = max(r, p.floor[key].factor, 1)
		}
		out.put(key, int64(r), origin)
	}
	return out, faults.orNil()
}
