package checkpoint

import (
	"context"
	"errors"

	"trmsweep/internal/blob"
)

// commitWithRoom commits a snapshot. Where the store is full it deletes what retention would
// delete after the commit, and tries again, the second time with all of the storage's patience.
func (w *Writer) commitWithRoom(ctx context.Context, s *Snapshot) (Commit, error) {
	if s.Ticket.ID == "" && s.Meta.WorldSize <= 1 {
		s.Ticket = w.Begin(s.Step) // both tries write under one name: what the first has stored, the second need not
	}
	known := len(w.failed)
	c, err := w.commit(blob.FailWhenFull(ctx), *s)
	if !errors.Is(err, blob.ErrFull) {
		return c, err
	}
	w.failed = w.failed[:known] // it is still the same attempt
	if err := w.makeRoom(blob.FailWhenFull(ctx)); err != nil && !errors.Is(err, blob.ErrFull) {
		return Commit{}, err
	}
	c, err = w.commit(ctx, *s)
	if errors.Is(err, blob.ErrFull) {
		w.deleteFailed(ctx)
	}
	return c, err
}

// makeRoom takes checkpoints from HEAD, and deletes them, that one more commit makes
// superfluous. It keeps the newest valid one, the best one and milestones.
func (w *Writer) makeRoom(ctx context.Context) error {
	if w.parent == nil { // nothing was committed or restored: nothing is known to be valid
		return nil
	}
	kept, dropped := prune(w.head.Entries, max(w.keep-1, 1))
	if len(dropped) == 0 {
		return nil
	}
	w.log.Warn("the store is full: old checkpoints are deleted before the next one is saved", "checkpoints", len(dropped), "kept", len(kept))
	if err := w.swap(ctx, func(h *Head) { h.Entries = kept }); err != nil {
		return err
	}
	w.trash = append(w.trash, dropped...)
	w.deleteUnlisted(ctx)
	return nil
}
