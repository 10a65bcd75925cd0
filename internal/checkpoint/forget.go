package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"trmsweep/internal/blob"
)

// Forget empties a run, so that it begins at step 0 again: it takes the fence
// from whoever still trains it, lists no checkpoint in HEAD any more, and deletes
// checkpoints, logs, and the objects named also. HEAD stays: without it the next
// attempt would take a late write of the old one for the run. It can be repeated
// after any error. ErrFenced: a later attempt of the same workflow has the run, or
// another owner came meanwhile; nothing of theirs is deleted, however late this comes.
func Forget(ctx context.Context, b blob.Bucket, owner Owner, also []string, opts ...Option) error {
	opts = append(slices.Clone(opts), WithYield(owner.before))
	w, err := Acquire(ctx, b, owner, opts...)
	if errors.Is(err, ErrAllBad) { // nothing that could be rebuilt: as good as no HEAD
		if err := beginAnew(ctx, b, owner); err != nil {
			return fmt.Errorf("forget run: %w", err)
		}
		w, err = Acquire(ctx, b, owner, opts...)
	}
	if err != nil {
		return fmt.Errorf("forget run: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.swap(ctx, func(h *Head) { h.Entries, h.Created, h.Forgotten = nil, time.Time{}, w.term }); err != nil {
		return fmt.Errorf("forget run: %w", err)
	}
	for _, key := range also {
		if err := w.deleteShared(ctx, key); err != nil {
			return fmt.Errorf("forget run: %w", err)
		}
	}
	if err := w.deleteAll(ctx); err != nil {
		return fmt.Errorf("forget run: %w", err)
	}
	return nil
}

// before is ErrFenced if the run belongs to a later attempt of the same workflow.
func (o Owner) before(h Head) error {
	if o.WorkflowID != "" && h.Owner.WorkflowID == o.WorkflowID && h.Owner.RunID == o.RunID && h.Owner.Attempt > o.Attempt {
		return fmt.Errorf("%w: %s came after attempt %d", ErrFenced, h.Owner, o.Attempt)
	}
	return nil
}

// beginAnew puts an empty HEAD in the place of one that is lost or damaged, if it still is.
func beginAnew(ctx context.Context, b blob.Bucket, owner Owner) error {
	generation, err := HeadGeneration(ctx, b)
	if err != nil {
		return err
	}
	if _, _, err := readHead(ctx, b); err == nil {
		return nil // it has come in the meantime
	}
	_, err = Begin(ctx, b, owner, generation)
	if errors.Is(err, blob.ErrPrecondition) {
		return nil
	}
	return err
}

// deleteShared deletes an object that every owner of the run may write under the same name.
func (w *Writer) deleteShared(ctx context.Context, key string) error {
	for {
		attr, err := w.b.Stat(ctx, key)
		if errors.Is(err, blob.ErrNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("look for %s: %w", key, err)
		}
		if err := w.Check(ctx); err != nil { // after Stat: what a later owner writes has another generation
			return err
		}
		err = w.b.Delete(ctx, key, attr.Generation)
		if err == nil || errors.Is(err, blob.ErrNotExist) {
			return nil
		}
		if !errors.Is(err, blob.ErrPrecondition) {
			return fmt.Errorf("delete %s: %w", key, err)
		}
	}
}

// deleteAll deletes everything but HEAD and what later owners have written, manifests first.
func (w *Writer) deleteAll(ctx context.Context) error {
	var old []blob.Attr
	for _, prefix := range []string{"ckpt/", "metrics/", "tb/"} {
		for attr, err := range w.b.List(ctx, prefix) {
			if err != nil {
				return err
			}
			if m := writerPattern.FindStringSubmatch(attr.Key); m != nil {
				if term, err := strconv.ParseInt(m[1], 10, 64); err == nil && term > w.term {
					continue
				}
			}
			old = append(old, attr)
		}
	}
	slices.SortStableFunc(old, func(x, y blob.Attr) int { return manifestFirst(y.Key) - manifestFirst(x.Key) })
	for _, attr := range old {
		err := w.b.Delete(ctx, attr.Key, attr.Generation)
		if err != nil && !errors.Is(err, blob.ErrNotExist) && !errors.Is(err, blob.ErrPrecondition) {
			return fmt.Errorf("delete %s: %w", attr.Key, err)
		}
	}
	return nil
}
