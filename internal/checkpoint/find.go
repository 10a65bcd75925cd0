package checkpoint

import (
	"context"
	"errors"
	"fmt"

	"trmsweep/internal/blob"
	"trmsweep/internal/layout"
)

// FindRun is the first of the names (experiment.Spec.RunNames) under which the store has a run with a checkpoint, or the
// first of all where none has one: a run that an older program began keeps its name and goes on.
func FindRun(ctx context.Context, store blob.Bucket, names []string) (string, error) {
	for _, name := range names {
		h, err := ReadHead(ctx, layout.Run(store, name))
		switch {
		case errors.Is(err, blob.ErrNotExist):
			continue
		case err != nil && !errors.Is(err, ErrHead):
			return "", fmt.Errorf("look for run %s: %w", name, err)
		case err != nil || len(h.Entries) > 0: // a damaged HEAD is rebuilt from the checkpoints beside it
			return name, nil
		}
	}
	return names[0], nil
}
