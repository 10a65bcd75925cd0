package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"trmsweep/internal/blob"
)

// Restore reads the newest checkpoint of the run that is wholly valid. Newer
// ones that are not are marked in HEAD and listed in Skipped. Where HEAD lists none that is
// valid, HEAD is made anew from those that lie beside it. It returns
// (nil, nil) only for a run in which nothing was ever committed. Errors:
// ErrAllBad and ErrFormat (final), ErrFenced (final), blob.ErrTransient.
func (w *Writer) Restore(ctx context.Context) (*Checkpoint, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.head.Entries) == 0 {
		return nil, nil
	}
	entries := slices.Clone(w.head.Entries)
	var reasons []string
	c, found, err := w.firstGood(ctx, entries, &reasons)
	if err != nil {
		return nil, fmt.Errorf("restore: %w", err)
	}
	if c == nil {
		if c, found, err = w.restoreUnlisted(ctx, &entries, &reasons); err != nil {
			return nil, fmt.Errorf("restore: %w", err)
		}
	}
	if c == nil {
		return nil, fmt.Errorf("restore: %w (all %d that are there were tried); bring the objects back, or delete the run to start it again: %s",
			ErrAllBad, len(reasons), strings.Join(reasons, "; "))
	}
	for _, e := range entries[found+1:] {
		c.Skipped = append(c.Skipped, e)
		w.log.Warn("checkpoint skipped", "step", e.Step, "manifest", e.Manifest, "why", e.Bad)
	}
	if !slices.EqualFunc(entries, w.head.Entries, func(a, b Entry) bool { return a.Manifest == b.Manifest && a.Bad == b.Bad }) {
		markBest(entries, c.Manifest.Meta.BestStep)
		if err := w.swap(ctx, func(h *Head) { h.Entries = entries }); err != nil {
			return nil, fmt.Errorf("restore: %w", err)
		}
	}
	w.parent, w.pentry = &c.Manifest, entries[found]
	return c, nil
}

// restoreUnlisted tries the checkpoints that HEAD does not list, and puts them in the place of entries if one is valid.
func (w *Writer) restoreUnlisted(ctx context.Context, entries *[]Entry, reasons *[]string) (*Checkpoint, int, error) {
	lying, err := unlisted(ctx, w.b, w.head)
	if err != nil {
		return nil, 0, err
	}
	c, found, err := w.firstGood(ctx, lying, reasons)
	if c == nil || err != nil {
		return nil, 0, err
	}
	w.log.Warn("HEAD.json is rebuilt from the manifests", "why", noneWhole, "checkpoints", len(lying))
	*entries = lying
	return c, found, nil
}

// firstGood tries the entries newest first, those marked bad by others last, and marks what it finds.
func (w *Writer) firstGood(ctx context.Context, entries []Entry, reasons *[]string) (*Checkpoint, int, error) {
	before := slices.Clone(entries)
	for _, marked := range []bool{false, true} {
		for i := len(entries) - 1; i >= 0; i-- {
			e := &entries[i]
			if (before[i].Bad != "") != marked {
				continue
			}
			c, err := LoadState(ctx, w.b, *e)
			var bad *badError
			switch {
			case err == nil:
				e.Bad, c.Entry.Bad = "", ""
				for j := i + 1; j < len(entries); j++ {
					if entries[j].Bad == "" {
						entries[j].Bad = "superseded" // cannot happen: newer ones were tried
					}
				}
				return c, i, nil
			case errors.As(err, &bad):
				e.Bad = err.Error()
				*reasons = append(*reasons, fmt.Sprintf("step %d: %v", e.Step, err))
			default:
				return nil, 0, err
			}
		}
	}
	return nil, 0, nil
}

// LoadState reads a checkpoint with rank 0's state and all shards, everything checked: the
// manifest's hash, and of every file generation, size, CRC32C, SHA-256, types and shapes.
func LoadState(ctx context.Context, b blob.Bucket, e Entry) (*Checkpoint, error) {
	start := time.Now()
	m, err := ReadManifest(ctx, b, e)
	if err != nil {
		return nil, err
	}
	c := &Checkpoint{Step: m.Step, Entry: e, Manifest: m}
	for _, f := range m.Files {
		key := e.dir() + f.Name
		switch {
		case f.Kind == KindState && f.Rank == 0:
			if c.State, err = loadState(ctx, b, m, f); err != nil {
				return nil, err
			}
		case f.Kind == KindShard: // all at once, below
		case f.Kind == KindState:
			if err := statExactly(ctx, b, key, f); err != nil {
				return nil, err
			}
		default:
			if _, _, err := readExactly(ctx, b, key, f.Generation, f.Size, f.SHA256); err != nil {
				return nil, err
			}
		}
		c.Bytes += f.Size
	}
	if c.State == nil {
		return nil, badf("checkpoint %s has no state of rank 0", m.Commit)
	}
	parts, err := loadShards(ctx, b, m)
	if err != nil {
		return nil, err
	}
	if c.State, err = joinShards(c.State, parts); err != nil {
		return nil, badf("checkpoint %s: %w", m.Commit, err)
	}
	c.Took = time.Since(start)
	return c, nil
}

// statExactly looks whether another rank's file is there; that rank reads it.
func statExactly(ctx context.Context, b blob.Bucket, key string, f File) error {
	attr, err := b.Stat(ctx, key)
	if errors.Is(err, blob.ErrNotExist) {
		return &badError{err}
	}
	if err != nil {
		return err
	}
	if attr.Size != f.Size || attr.CRC32C != f.CRC32C {
		return badf("object %s has %d bytes with CRC32C %08x, the manifest says %d with %08x", key, attr.Size, attr.CRC32C, f.Size, f.CRC32C)
	}
	return nil
}
