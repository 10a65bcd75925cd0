package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"trmsweep/internal/blob"
)

// Cleaned is what a Clean removed.
type Cleaned struct {
	Objects int
	Bytes   int64
}

// Clean deletes what no commit refers to: checkpoints dropped from HEAD, this
// writer's own failed saves, log pieces of fenced writers at once (a reader of the
// folder must not see superseded lines), and their other objects once older than the grace
// period by the storage's clock. Only the owner may: HEAD is read first.
func (w *Writer) Clean(ctx context.Context) (Cleaned, error) { return w.clean(ctx, false) }

// CleanAll is Clean without regard to age. It is for a run that is complete: no
// later attempt comes that could collect the rest.
func (w *Writer) CleanAll(ctx context.Context) (Cleaned, error) { return w.clean(ctx, true) }

func (w *Writer) clean(ctx context.Context, all bool) (Cleaned, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	h, attr, err := readHead(ctx, w.b)
	if err != nil {
		return Cleaned{}, fmt.Errorf("clean: %w", w.lost(err))
	}
	if err := w.mine(h); err != nil {
		return Cleaned{}, fmt.Errorf("clean: %w", err)
	}
	w.adopt(h, attr)
	w.deleteUnlisted(ctx)
	orphans, err := findOrphans(ctx, w.b, h)
	if err != nil {
		return Cleaned{}, fmt.Errorf("clean: %w", err)
	}
	own := map[string]bool{}
	for _, a := range w.failed {
		for _, key := range a.keys {
			own[key] = true
		}
	}
	for _, o := range orphans {
		for _, e := range w.trash { // could not be deleted before
			own[o.Key] = own[o.Key] || strings.HasPrefix(o.Key, e.dir())
		}
	}
	for _, o := range orphans {
		w.advanceClock(o.Updated)
	}
	var c Cleaned
	for _, o := range orphans {
		isLog := !strings.HasPrefix(o.Key, "ckpt/")
		old := all || isLog || w.clock.Sub(o.Updated) > w.grace
		collectable := o.Term < w.term && old
		if !own[o.Key] && !collectable {
			continue
		}
		if err := w.b.Delete(ctx, o.Key, o.Generation); err != nil && !errors.Is(err, blob.ErrNotExist) {
			return c, fmt.Errorf("clean: %w", err)
		}
		c.Objects++
		c.Bytes += o.Size
	}
	w.failed = nil
	return c, nil
}

// deleteFailedTime is how long a fenced writer tries to delete its files; those that stay are collected by the run's owner.
const deleteFailedTime = 5 * time.Second

// deleteFailed deletes what this writer, fenced or without room for the rest, has stored for
// commits whose manifest it never sent. Nobody can refer to them, and the owner may be done.
func (w *Writer) deleteFailed(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deleteFailedTime)
	defer cancel()
	var sent []*commitTry
	for _, a := range w.failed {
		if a.m != nil {
			sent = append(sent, a)
			continue
		}
		for _, key := range a.keys {
			if err := w.b.Delete(ctx, key, blob.Any); err != nil && !errors.Is(err, blob.ErrNotExist) {
				w.log.Warn("delete a file of a failed save", "key", key, "error", err)
			}
		}
	}
	w.failed = sent
}

// deleteUnlisted deletes checkpoints that HEAD no longer lists, each manifest first. What fails is left for Clean.
func (w *Writer) deleteUnlisted(ctx context.Context) {
	var left []Entry
	for _, e := range w.trash {
		if err := deleteCheckpoint(ctx, w.b, e); err != nil {
			w.log.Warn("delete old checkpoint", "manifest", e.Manifest, "error", err)
			left = append(left, e)
		}
	}
	w.trash = left
}

func deleteCheckpoint(ctx context.Context, b blob.Bucket, e Entry) error {
	if err := b.Delete(ctx, e.Manifest, blob.Any); err != nil && !errors.Is(err, blob.ErrNotExist) {
		return err
	}
	for attr, err := range b.List(ctx, e.dir()) {
		if err != nil {
			return err
		}
		if err := b.Delete(ctx, attr.Key, attr.Generation); err != nil && !errors.Is(err, blob.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Orphan is an object that no commit refers to.
type Orphan struct {
	blob.Attr
	Term int64 // of its writer; -1 if the name does not say
}

var writerPattern = regexp.MustCompile(`(?:^ckpt/\d{12,}-|^metrics/\d{12,}-|^tb/events\.out\.tfevents\.\d{12,}\.)(\d{6,})-[0-9a-z]+`)

// findOrphans compares what is stored with what HEAD's manifests refer to; in each folder the manifest comes first.
func findOrphans(ctx context.Context, b blob.Bucket, h Head) ([]Orphan, error) {
	dirs, chunks := map[string]bool{}, map[string]bool{}
	unknown := false
	for _, e := range h.Entries {
		dirs[e.dir()] = true
		m, err := ReadManifest(ctx, b, e)
		var bad *badError
		switch {
		case errors.As(err, &bad):
			unknown = unknown || e.Bad == ""
			continue
		case err != nil:
			return nil, err
		case e.Bad != "":
			continue
		}
		for _, c := range slices.Concat(m.Metrics, m.TFEvents) {
			chunks[c.Key] = true
		}
	}
	var out []Orphan
	for _, prefix := range []string{"ckpt/", "metrics/", "tb/"} {
		if prefix != "ckpt/" && unknown {
			break // a manifest that cannot be read may refer to any of them
		}
		for attr, err := range b.List(ctx, prefix) {
			if err != nil {
				return nil, err
			}
			dir := attr.Key[:strings.LastIndexByte(attr.Key, '/')+1]
			ofCheckpoint := prefix == "ckpt/" && dirs[dir]
			if chunks[attr.Key] || ofCheckpoint {
				continue
			}
			o := Orphan{Attr: attr, Term: -1}
			if m := writerPattern.FindStringSubmatch(attr.Key); m != nil {
				o.Term, _ = strconv.ParseInt(m[1], 10, 64)
			} else {
				continue // not ours
			}
			out = append(out, o)
		}
	}
	slices.SortStableFunc(out, func(x, y Orphan) int {
		return manifestFirst(y.Key) - manifestFirst(x.Key)
	})
	return out, nil
}

func manifestFirst(key string) int {
	if strings.HasSuffix(key, "/"+manifestName) {
		return 1
	}
	return 0
}
