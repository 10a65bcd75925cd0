package checkpoint

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"trmsweep/internal/blob"
)

const headKey = "HEAD.json"

// ErrHead: the pointer is there and holds nothing that can be used. Acquire rebuilds it.
var ErrHead = errors.New("HEAD.json is damaged")

// ReadHead reads HEAD.json; blob.ErrNotExist where the run does not exist.
func ReadHead(ctx context.Context, b blob.Bucket) (Head, error) {
	h, _, err := readHead(ctx, b)
	return h, err
}

func readHead(ctx context.Context, b blob.Bucket) (Head, blob.Attr, error) {
	data, attr, err := readObject(ctx, b, headKey, 0)
	if errors.Is(err, blob.ErrCorrupt) {
		return Head{}, attr, fmt.Errorf("%w: %w", ErrHead, err)
	}
	if err != nil {
		return Head{}, attr, fmt.Errorf("read HEAD.json: %w", err)
	}
	var h Head
	if err := json.Unmarshal(data, &h); err != nil {
		return Head{}, attr, fmt.Errorf("%w: %w", ErrHead, err)
	}
	if h.Format > Format {
		return Head{}, attr, fmt.Errorf("HEAD.json has version %d, this program reads up to %d; use a newer one: %w", h.Format, Format, ErrFormat)
	}
	if h.Format < 1 || h.Epoch < 1 || h.Lease == "" {
		return Head{}, attr, fmt.Errorf("%w: no version, epoch or lease in it", ErrHead)
	}
	h.Generation = attr.Generation
	return h, attr, nil
}

// putHead replaces HEAD at the generation that h was read from (0: there was none).
func putHead(ctx context.Context, b blob.Bucket, h Head) (blob.Attr, error) {
	if h.Entries == nil {
		h.Entries = []Entry{}
	}
	data, err := json.MarshalIndent(h, "", " ")
	if err != nil {
		return blob.Attr{}, fmt.Errorf("encode HEAD.json: %w", err)
	}
	return blob.PutBytes(ctx, b, headKey, append(data, '\n'), h.Generation)
}

type foundHead struct {
	Head
	rebuilt string // why, where it does not come from HEAD.json
}

// currentHead is HEAD, or its reconstruction, or an empty one for a run that does not exist.
func currentHead(ctx context.Context, b blob.Bucket) (foundHead, error) {
	h, _, err := readHead(ctx, b)
	if err == nil {
		return foundHead{Head: h}, nil
	}
	absent := errors.Is(err, blob.ErrNotExist)
	if !absent && !errors.Is(err, ErrHead) {
		return foundHead{}, err
	}
	why := err
	var generation int64
	if !absent {
		attr, err := b.Stat(ctx, headKey)
		if err != nil {
			return foundHead{}, fmt.Errorf("read HEAD.json: %w", err)
		}
		generation = attr.Generation
	}
	h, seen, err := rebuild(ctx, b)
	if err != nil {
		return foundHead{}, err
	}
	// Objects are made after HEAD. If there are some, and HEAD has come in the
	// meantime, then another attempt is beside this one and nothing is lost.
	if now, _, err := readHead(ctx, b); err == nil {
		return foundHead{Head: now}, nil
	}
	h.Generation = generation
	switch {
	case len(h.Entries) > 0:
		return foundHead{h, why.Error()}, nil
	case absent && !seen:
		return foundHead{Head: h}, nil
	}
	return foundHead{}, fmt.Errorf("%w: %w, and no valid manifest was found under ckpt/; restore the objects, or delete this run to start it again", ErrAllBad, why)
}

// rebuild makes a HEAD from the manifests: the highest valid (epoch, step) and
// the commits that it continues. seen reports whether there was any checkpoint object.
func rebuild(ctx context.Context, b blob.Bucket) (h Head, seen bool, err error) {
	found := map[string]Entry{}
	parents := map[string]string{}
	var newest []Entry
	for attr, err := range b.List(ctx, "ckpt/") {
		if err != nil {
			return Head{}, false, fmt.Errorf("list manifests: %w", err)
		}
		seen = true
		id, ok := strings.CutSuffix(strings.TrimPrefix(attr.Key, "ckpt/"), "/"+manifestName)
		_, epoch, _, perr := parseID(id)
		if perr == nil {
			h.Epoch = max(h.Epoch, epoch)
		}
		if !ok || perr != nil {
			continue
		}
		e := Entry{Manifest: attr.Key, Generation: attr.Generation}
		m, sum, err := readManifest(ctx, b, e)
		var bad *badError
		if errors.As(err, &bad) {
			continue
		}
		if err != nil {
			return Head{}, false, err
		}
		e = entryOf(m, attr.Generation, sum)
		found[e.Manifest], parents[e.Manifest] = e, m.Parent
		newest = append(newest, e)
	}
	if len(newest) == 0 {
		return h, seen, nil
	}
	last := slices.MaxFunc(newest, func(x, y Entry) int {
		return cmp.Or(cmp.Compare(x.Epoch, y.Epoch), cmp.Compare(x.Step, y.Step))
	})
	m, _, err := readManifest(ctx, b, last)
	if err != nil {
		return Head{}, false, err
	}
	for key := last.Manifest; key != ""; key = parents[key] {
		e, ok := found[key]
		if !ok {
			// A missing link: older commits that fit below it are as good as it gets.
			h.Entries = append(h.Entries, older(newest, h.Entries[len(h.Entries)-1])...)
			break
		}
		h.Entries = append(h.Entries, e)
	}
	slices.Reverse(h.Entries)
	markBest(h.Entries, m.Meta.BestStep)
	return h, seen, nil
}

// older is the commits before e in the order newest first, one per step.
func older(all []Entry, e Entry) []Entry {
	sorted := slices.Clone(all)
	slices.SortFunc(sorted, func(x, y Entry) int {
		return -cmp.Or(cmp.Compare(x.Epoch, y.Epoch), cmp.Compare(x.Step, y.Step))
	})
	var out []Entry
	for _, o := range sorted {
		if o.Step < e.Step && o.Epoch <= e.Epoch {
			out = append(out, o)
			e = o
		}
	}
	return out
}

// entryOf describes a manifest that was stored.
func entryOf(m Manifest, generation int64, sum string) Entry {
	e := Entry{
		Step: m.Step, Epoch: m.Epoch, Manifest: "ckpt/" + m.Commit + "/" + manifestName,
		Generation: generation, SHA256: sum, Milestone: m.Milestone, Final: m.Meta.Final,
	}
	for _, v := range m.Meta.Evals {
		if v.Step == m.Step {
			e.Metric = &v.ExactAccuracy
		}
	}
	return e
}

// markBest flags the newest good entry of the best step.
func markBest(entries []Entry, step int64) {
	found := false
	for i := len(entries) - 1; i >= 0; i-- {
		e := &entries[i]
		e.Best = !found && step > 0 && e.Step == step && e.Bad == ""
		found = found || e.Best
	}
}

// prune splits entries into those that HEAD goes on listing and those to delete.
func prune(entries []Entry, keep int) (kept, dropped []Entry) {
	good := 0
	for _, e := range slices.Backward(entries) {
		if good < keep || e.Best || e.Milestone && e.Bad == "" {
			kept = append(kept, e)
		} else {
			dropped = append(dropped, e)
		}
		if e.Bad == "" {
			good++
		}
	}
	slices.Reverse(kept)
	return kept, dropped
}
