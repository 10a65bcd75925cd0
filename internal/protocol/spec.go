package protocol

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"trmsweep/internal/blob"
	"trmsweep/internal/experiment"
	"trmsweep/internal/layout"
)

// ErrNoSpec: the spec of a run is lost or damaged.
var ErrNoSpec = errors.New("lost or damaged; the next `trmsweep train` of the run writes it anew")

// WriteSpec stores the spec of a run; run is the run's part of the store.
func WriteSpec(ctx context.Context, run blob.Bucket, s experiment.Spec) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("encode spec of %s: %w", s.Name, err)
	}
	if _, err := blob.PutBytes(ctx, run, layout.SpecFile, append(text, '\n'), blob.Any); err != nil {
		return fmt.Errorf("write %s of %s: %w", layout.SpecFile, s.Name, err)
	}
	return nil
}

// ReadSpec reads the spec of a run. Errors: ErrNoSpec, storage.
func ReadSpec(ctx context.Context, run blob.Bucket) (experiment.Spec, error) {
	var s experiment.Spec
	text, _, err := blob.ReadAll(ctx, run, layout.SpecFile, 0)
	if errors.Is(err, blob.ErrNotExist) || errors.Is(err, blob.ErrCorrupt) {
		return s, fmt.Errorf("%w: %w", ErrNoSpec, err)
	}
	if err != nil {
		return s, fmt.Errorf("read %s: %w", layout.SpecFile, err)
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return s, fmt.Errorf("%w: %w", ErrNoSpec, err)
	}
	if err := s.Validate(); err != nil {
		return s, fmt.Errorf("%w: %w", ErrNoSpec, err)
	}
	return s, nil
}
