package activities

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"go.temporal.io/sdk/temporal"

	"trmsweep/internal/blob"
	"trmsweep/internal/dataset"
	"trmsweep/internal/experiment"
)

// specText reads a spec of the store. Whoever may start workflows chooses which, and
// what is in it: a source that this host's worker was not given is refused here.
func (a *Activities) specText(ctx context.Context, key string) ([]byte, experiment.Spec, error) {
	var s experiment.Spec
	if err := checkSpecKey(key); err != nil {
		return nil, s, err
	}
	data, _, err := blob.ReadAll(ctx, a.Bucket, key, 0)
	if err != nil {
		return nil, s, fmt.Errorf("read spec %s: %w", key, err)
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, s, temporal.NewNonRetryableApplicationError(fmt.Sprintf("spec %s: %v", key, err), ErrConfig, nil)
	}
	return data, s, a.checkSource(s)
}

func (a *Activities) readSpec(ctx context.Context, key string) (experiment.Spec, error) {
	_, s, err := a.specText(ctx, key)
	return s, err
}

func (a *Activities) checkSource(s experiment.Spec) error {
	if err := dataset.CheckRoots(s.DataSource, a.DataRoots); err != nil {
		return temporal.NewNonRetryableApplicationError(err.Error(), ErrConfig, nil)
	}
	return nil
}

// checkSources says of each source once what is wrong with it.
func (a *Activities) checkSources(specs []experiment.Spec) error {
	var faults []error
	seen := map[string]bool{}
	for _, s := range specs {
		if !seen[s.DataSource] {
			faults = append(faults, dataset.CheckRoots(s.DataSource, a.DataRoots))
		}
		seen[s.DataSource] = true
	}
	return errors.Join(faults...)
}
