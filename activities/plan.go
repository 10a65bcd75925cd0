package activities

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.temporal.io/sdk/temporal"

	"trmsweep/internal/blob"
	"trmsweep/internal/checkpoint"
	"trmsweep/internal/experiment"
	"trmsweep/internal/layout"
	"trmsweep/internal/preflight"
	"trmsweep/internal/version"
)

// Plan resolves and validates all of a sweep and stores the specs, so that
// every later step, on any host and build, trains what was planned.
func (a *Activities) Plan(ctx context.Context, in PlanInput) (Plan, error) {
	ctx, setDetails, stop := a.withHeartbeats(ctx)
	defer stop()
	profile := in.Input.Profile
	if profile == "" {
		profile = a.Profile
	}
	faults := append(slices.Clone(in.Faults), a.unknown(in.Input)...)
	specs, err := experiment.ResolveSweep(a.Configs, in.Names, profile, in.Input.Overrides, a.Environ)
	if err == nil && len(faults) == 0 {
		specs, err = choose(specs, in.Input)
	}
	if err == nil {
		err = a.checkSources(specs)
	}
	if err != nil {
		faults = append(faults, err.Error())
	}
	if len(faults) > 0 {
		return Plan{}, temporal.NewNonRetryableApplicationError(strings.Join(faults, "\n"), ErrConfig, nil)
	}
	p := Plan{Profile: profile, Code: version.Code()}
	first := map[string]string{}
	for _, s := range specs {
		for _, seed := range seedsOf(s, in.Input.Seeds) {
			s.Seed = seed
			it, err := a.itemOf(ctx, s, in.SeedIDs || len(in.Input.Seeds) > 1)
			if err != nil {
				return Plan{}, err
			}
			if same, ok := first[it.Run]; ok {
				it.SameAs = same
			} else {
				first[it.Run] = it.ID
				if err := a.putSpec(ctx, it.SpecKey, s); err != nil {
					return Plan{}, err
				}
			}
			p.Items = append(p.Items, it)
			setDetails(len(p.Items))
		}
	}
	return p, nil
}

// unknown are the asked phases and experiments that the study does not have.
func (a *Activities) unknown(in SweepInput) []string {
	var faults []string
	for _, p := range in.Phases {
		if !slices.Contains(experiment.Phases, p) {
			faults = append(faults, fmt.Sprintf("input: phases: unknown phase %q%s (known: %s)", p,
				experiment.Suggest("; the nearest known one is %s", p, experiment.Phases), strings.Join(experiment.Phases, ", ")))
		}
	}
	if len(in.Experiments) == 0 {
		return faults
	}
	all, err := experiment.Experiments(a.Configs)
	if err != nil {
		return append(faults, err.Error())
	}
	for _, e := range in.Experiments {
		if !slices.Contains(all, e) {
			faults = append(faults, fmt.Sprintf("input: experiments: unknown experiment %q%s; `trmsweep plan` lists them", e,
				experiment.Suggest("; the nearest known one is %s", e, all)))
		}
	}
	return faults
}

// choose narrows a sweep to the asked phases and experiments; asking for one that it does not have is an error.
func choose(specs []experiment.Spec, in SweepInput) ([]experiment.Spec, error) {
	var out []experiment.Spec
	found := map[string]bool{}
	for _, s := range specs {
		found[s.Phase], found[s.Name] = true, true
		inPhases := len(in.Phases) == 0 || slices.Contains(in.Phases, s.Phase)
		named := len(in.Experiments) == 0 || slices.Contains(in.Experiments, s.Name)
		if inPhases && named {
			out = append(out, s)
		}
	}
	var faults []error
	for _, n := range slices.Concat(in.Phases, in.Experiments) {
		if !found[n] {
			faults = append(faults, fmt.Errorf("%q is no phase or experiment of this sweep; `trmsweep plan` lists them", n))
		}
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	if len(out) == 0 {
		return nil, errors.New("no experiment is in both the asked phases and the asked experiments")
	}
	return out, nil
}

func seedsOf(s experiment.Spec, seeds []int64) []int64 {
	if len(seeds) == 0 {
		return []int64{s.Seed}
	}
	return seeds
}

// itemOf is the item of a spec, with the run that the store has of it, which an older program may have named.
func (a *Activities) itemOf(ctx context.Context, s experiment.Spec, manySeeds bool) (Item, error) {
	run, err := checkpoint.FindRun(ctx, a.Bucket, s.RunNames())
	if err != nil {
		return Item{}, err
	}
	it := Item{
		Experiment:     s.Name,
		Phase:          s.Phase,
		ID:             s.Name,
		Run:            run,
		SpecHash:       s.Hash(),
		SpecKey:        layout.SpecKey(s.RunName()),
		Seed:           s.Seed,
		TotalSteps:     s.TotalSteps(),
		EstimatedHours: s.EstimatedHours(experiment.V4Chip),
		Reference:      s.Reference,
		Shape:          preflight.Shape(s),
		Batch:          s.GlobalBatchSize,
	}
	if manySeeds {
		it.ID += fmt.Sprintf("-s%d", s.Seed)
	}
	return it, nil
}

// putSpec stores a spec once: the name is its content.
func (a *Activities) putSpec(ctx context.Context, key string, s experiment.Spec) error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("encode spec of %s: %w", s.Name, err)
	}
	if _, err := a.Bucket.Stat(ctx, key); err == nil {
		return nil
	} else if !errors.Is(err, blob.ErrNotExist) {
		return fmt.Errorf("look for spec %s: %w", key, err)
	}
	if _, err := blob.PutBytes(ctx, a.Bucket, key, data, 0); err != nil && !errors.Is(err, blob.ErrPrecondition) {
		return fmt.Errorf("store spec %s: %w", key, err)
	}
	return nil
}
