package checkpoint

import (
	"context"
	"errors"
	"fmt"

	"trmsweep/internal/blob"
	"trmsweep/internal/layout"
)

// FindRun is the first of the names (experiment.Spec.RunNames) under which the store has a run with a checkpoint, or the
// first of all if none has one: a run that an older program began keeps its name and goes on.
func FindRun(ctx context.Context, store blob.Bucket, names []string) (string, error) {
	for _, name := range names {
		begun, err := Begun(ctx, layout.Run(store, name))
		if err != nil {
			return "", fmt.Errorf("look for run %s: %w", name, err)
		}
		if begun {
			return name, nil
		}
	}
	return names[0], nil
}

// Begun reports whether something was committed to the run and not forgotten, readable or not:
// HEAD.json lists it or is damaged, or a manifest lies beside a HEAD.json that is lost or lists nothing.
func Begun(ctx context.Context, b blob.Bucket) (bool, error) {
	h, err := ReadHead(ctx, b)
	if errors.Is(err, ErrHead) {
		return true, nil
	}
	if err != nil && !errors.Is(err, blob.ErrNotExist) {
		return false, err
	}
	if len(h.Entries) > 0 {
		return true, nil
	}
	last, err := lastTerm(ctx, b)
	return last > h.Forgotten, err
}
