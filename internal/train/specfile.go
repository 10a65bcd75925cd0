package train

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"trmsweep/internal/blob"
	"trmsweep/internal/experiment"
)

// specFile is a run's resolved spec below its folder.
const specFile = "spec.json"

func putSpec(ctx context.Context, runs blob.Bucket, s experiment.Spec) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("encode spec of %s: %w", s.Name, err)
	}
	if _, err := blob.PutBytes(ctx, runs, specFile, append(text, '\n'), blob.Any); err != nil {
		return fmt.Errorf("write %s: %w", specFile, err)
	}
	return nil
}

// readSpec reads a run's spec. errNoSpec: it is lost or damaged.
func readSpec(ctx context.Context, runs blob.Bucket) (experiment.Spec, error) {
	var s experiment.Spec
	text, _, err := blob.ReadAll(ctx, runs, specFile, 0)
	if errors.Is(err, blob.ErrNotExist) || errors.Is(err, blob.ErrCorrupt) {
		return s, fmt.Errorf("%w: %w", errNoSpec, err)
	}
	if err != nil {
		return s, fmt.Errorf("read %s: %w", specFile, err)
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return s, fmt.Errorf("%w: %w", errNoSpec, err)
	}
	if err := s.Validate(); err != nil {
		return s, fmt.Errorf("%w: %w", errNoSpec, err)
	}
	return s, nil
}

var errNoSpec = errors.New("lost or damaged; the next `trmsweep train` of the run writes it anew")

// mendSpec writes spec.json again where it is lost, damaged or another run's. The caller has
// compared the run with the spec: every process that may call this writes the same.
func (r *run) mendSpec(ctx context.Context) error {
	there, err := readSpec(ctx, r.runs)
	if err != nil && !errors.Is(err, errNoSpec) {
		return fmt.Errorf("spec of run %s: %w", r.o.Run, err)
	}
	if err == nil && there.Hash() == r.spec.Hash() && there.Seed == r.spec.Seed {
		return nil
	}
	r.o.Logger.Warn("spec.json is lost, damaged or another run's; it is written again", "run", r.o.Run)
	if err := putSpec(ctx, r.runs, r.spec); err != nil {
		return fmt.Errorf("spec of run %s: %w", r.o.Run, err)
	}
	return nil
}
