package checkpoint

import (
	"context"
	"errors"
	"fmt"

	"trmsweep/internal/blob"
)

// HeadGeneration is the generation of HEAD.json, whatever is in it; 0 if it does not exist.
func HeadGeneration(ctx context.Context, b blob.Bucket) (int64, error) {
	attr, err := b.Stat(ctx, headKey)
	if errors.Is(err, blob.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("look for HEAD.json: %w", err)
	}
	return attr.Generation, nil
}

// Begin takes a run whose HEAD.json is at the given generation (0: it does not exist), and begins
// it without a checkpoint: what lies under ckpt/ is no part of it any more, and what HEAD.json
// said is not believed. Errors: blob.ErrPrecondition if HEAD.json is another by now, ErrFormat, blob.ErrTransient.
func Begin(ctx context.Context, b blob.Bucket, owner Owner, generation int64, opts ...Option) (*Writer, error) {
	last, err := lastTerm(ctx, b)
	if err != nil {
		return nil, fmt.Errorf("begin run: %w", err)
	}
	h, _, err := readHead(ctx, b)
	usable := err == nil
	if !usable && !errors.Is(err, blob.ErrNotExist) && !errors.Is(err, ErrHead) {
		return nil, fmt.Errorf("begin run: %w", err)
	}
	if usable {
		last = max(last, h.Term)
	}
	w := newWriter(b, owner, opts)
	next := Head{
		Format:     Format,
		Term:       last + 1,
		Lease:      w.lease,
		Owner:      owner,
		Created:    w.now().UTC(),
		Commit:     nonce(),
		Forgotten:  last,
		Generation: generation,
	}
	attr, err := putHead(ctx, b, next)
	if err != nil { // the write may have happened though its response was lost
		now, there, rerr := readHead(ctx, b)
		if rerr != nil || now.Lease != w.lease {
			return nil, fmt.Errorf("begin run: %w", err)
		}
		next, attr = now, there
	}
	w.adopt(next, attr)
	w.term = next.Term
	return w, nil
}

// Trained reports whether a step of the run was ever committed: there is a manifest of a step
// after 0, readable or not, or a piece of its log.
func Trained(ctx context.Context, b blob.Bucket) (bool, error) {
	for _, prefix := range []string{"ckpt/", "metrics/", "tb/"} {
		for attr, err := range b.List(ctx, prefix) {
			if err != nil {
				return false, fmt.Errorf("list %s: %w", prefix, err)
			}
			if prefix != "ckpt/" {
				return true, nil
			}
			if step, _, ok := manifestOf(attr.Key); ok && step > 0 {
				return true, nil
			}
		}
	}
	return false, nil
}
