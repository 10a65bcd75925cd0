package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"trmsweep/internal/blob"
)

// Forget empties a run, so that it begins at step 0 again: it takes the fence
// from whoever still trains it, lists no checkpoint in HEAD any more, and deletes
// checkpoints and logs. HEAD stays: without it the next attempt would take a
// late write of the old one for the run. It can be repeated after any error.
func Forget(ctx context.Context, b blob.Bucket, owner Owner, opts ...Option) error {
	w, err := Acquire(ctx, b, owner, opts...)
	if errors.Is(err, ErrAllBad) { // nothing that could be rebuilt: as good as no HEAD
		if err := drop(ctx, b, headKey); err != nil {
			return err
		}
		if err := empty(ctx, b); err != nil {
			return err
		}
		w, err = Acquire(ctx, b, owner, opts...)
	}
	if err != nil {
		return fmt.Errorf("forget run: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.swap(ctx, func(h *Head) { h.Entries, h.Created = nil, time.Time{} }); err != nil {
		return fmt.Errorf("forget run: %w", err)
	}
	return empty(ctx, b)
}

func drop(ctx context.Context, b blob.Bucket, key string) error {
	if err := b.Delete(ctx, key, blob.Any); err != nil && !errors.Is(err, blob.ErrNotExist) {
		return fmt.Errorf("forget run: %w", err)
	}
	return nil
}

// empty deletes everything but HEAD, manifests first.
func empty(ctx context.Context, b blob.Bucket) error {
	var keys []string
	for _, prefix := range []string{"ckpt/", "metrics/", "tb/"} {
		for attr, err := range b.List(ctx, prefix) {
			if err != nil {
				return fmt.Errorf("forget run: %w", err)
			}
			keys = append(keys, attr.Key)
		}
	}
	slices.SortStableFunc(keys, func(x, y string) int { return manifestFirst(y) - manifestFirst(x) })
	for _, key := range keys {
		if err := drop(ctx, b, key); err != nil {
			return err
		}
	}
	return nil
}
