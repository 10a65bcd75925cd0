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
	"trmsweep/internal/layout"
)

const headKey = layout.HeadFile

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

// currentHead is HEAD as far as the checkpoints beside it support it, or its
// reconstruction, or an empty one for a run that does not exist.
func currentHead(ctx context.Context, b blob.Bucket) (foundHead, error) {
	h, _, err := readHead(ctx, b)
	if err == nil {
		return supported(ctx, b, h)
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
	h, seen, err := rebuild(ctx, b, 0)
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

// supported is h, or its reconstruction where checkpoints lie beside it that it cannot
// be the head of: of a later epoch than its own, or any at all where it lists none and
// they were not forgotten. It is then an older copy of HEAD.json, or another run's.
func supported(ctx context.Context, b blob.Bucket, h Head) (foundHead, error) {
	last, err := lastEpoch(ctx, b)
	if err != nil {
		return foundHead{}, err
	}
	var why string
	switch {
	case last > h.Epoch:
		why = fmt.Sprintf("HEAD.json is of epoch %d and there are checkpoints of epoch %d: it is an older copy, or another run's", h.Epoch, last)
	case len(h.Entries) == 0 && last > h.Forgotten:
		why = "HEAD.json lists no checkpoint and there are some: it is an older copy, or another run's"
	default:
		return foundHead{Head: h}, nil
	}
	found, _, err := rebuild(ctx, b, h.Forgotten)
	if err != nil {
		return foundHead{}, err
	}
	now, _, err := readHead(ctx, b)
	if err == nil && now.Generation != h.Generation { // another attempt has taken the run meanwhile
		return foundHead{Head: now}, nil
	}
	h.Epoch = max(h.Epoch, found.Epoch)
	if len(found.Entries) == 0 {
		return foundHead{Head: h}, nil
	}
	h.Entries = found.Entries
	return foundHead{h, why}, nil
}

// lastEpoch is the highest epoch of a manifest, 0 where there is none.
func lastEpoch(ctx context.Context, b blob.Bucket) (last int64, err error) {
	for attr, err := range b.List(ctx, "ckpt/") {
		if err != nil {
			return 0, fmt.Errorf("list manifests: %w", err)
		}
		if epoch, ok := manifestEpoch(attr.Key); ok {
			last = max(last, epoch)
		}
	}
	return last, nil
}

// manifestEpoch is the epoch in the name of a manifest; false for other objects.
func manifestEpoch(key string) (int64, bool) {
	id, ok := strings.CutSuffix(strings.TrimPrefix(key, "ckpt/"), "/"+manifestName)
	if !ok {
		return 0, false
	}
	_, epoch, _, err := parseID(id)
	return epoch, err == nil
}

// unlisted are the checkpoints with a valid manifest that h does not list, oldest
// first, as a reconstruction of HEAD would list them.
func unlisted(ctx context.Context, b blob.Bucket, h Head) ([]Entry, error) {
	found, _, err := rebuild(ctx, b, h.Forgotten)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(found.Entries, func(e Entry) bool {
		return slices.ContainsFunc(h.Entries, func(x Entry) bool { return x.Manifest == e.Manifest })
	}), nil
}

// look is currentHead and the newest of its checkpoints whose manifest can be read (nil: there
// is none). Where that is none of those which HEAD lists, they are those that lie beside it.
func look(ctx context.Context, b blob.Bucket) (foundHead, *Manifest, Entry, error) {
	h, err := currentHead(ctx, b)
	if err != nil {
		return h, nil, Entry{}, err
	}
	m, e, err := newestManifest(ctx, b, h.Entries)
	if m != nil || err != nil || len(h.Entries) == 0 {
		return h, m, e, err
	}
	lying, err := unlisted(ctx, b, h.Head)
	if err != nil || len(lying) == 0 {
		return h, nil, Entry{}, err
	}
	h.Entries, h.rebuilt = lying, noneWhole
	m, e, err = newestManifest(ctx, b, lying)
	return h, m, e, err
}

// noneWhole is why HEAD is rebuilt though it can be read.
const noneWhole = "HEAD.json lists no checkpoint that can be read, and there are others: it is an older copy, or another run's"

// newestManifest reads the manifests newest first, those marked bad last, until one can be read.
func newestManifest(ctx context.Context, b blob.Bucket, entries []Entry) (*Manifest, Entry, error) {
	for _, marked := range []bool{false, true} {
		for _, e := range slices.Backward(entries) {
			if (e.Bad != "") != marked {
				continue
			}
			m, err := ReadManifest(ctx, b, e)
			var bad *badError
			if errors.As(err, &bad) {
				continue
			}
			if err != nil {
				return nil, e, err
			}
			return &m, e, nil
		}
	}
	return nil, Entry{}, nil
}

// Newest reads the manifest of the run's newest checkpoint, taking the run from nobody and
// changing nothing: nil where nothing is committed or no manifest can be read. ErrAllBad
// and ErrFormat as from Acquire.
func Newest(ctx context.Context, b blob.Bucket) (*Manifest, Entry, error) {
	_, m, e, err := look(ctx, b)
	return m, e, err
}

// lookAgain is how often Load follows a HEAD that moves on while it reads.
const lookAgain = 10

// Load reads the checkpoint that choose picks, without taking the run from whoever trains
// it. Where it cannot be read and HEAD has changed, since the run goes on and deletes old
// checkpoints, it looks again. blob.ErrNotExist where there is no such run; choose's errors are Load's.
func Load(ctx context.Context, b blob.Bucket, choose func(Head) (Entry, error)) (*Checkpoint, error) {
	for try := 1; ; try++ {
		h, _, _, err := look(ctx, b)
		if err != nil {
			return nil, err
		}
		if h.Generation == 0 && len(h.Entries) == 0 {
			return nil, fmt.Errorf("read HEAD.json: %w", blob.ErrNotExist)
		}
		e, err := choose(h.Head)
		if err != nil {
			return nil, err
		}
		c, err := LoadState(ctx, b, e)
		var bad *badError
		if !errors.As(err, &bad) {
			return c, err
		}
		now, _, herr := readHead(ctx, b)
		switch {
		case herr != nil || now.Generation == h.Generation:
			return nil, fmt.Errorf("%w: step %d: %w", ErrDamaged, e.Step, err)
		case try == lookAgain:
			return nil, fmt.Errorf("%w: step %d: %w: the run deletes its checkpoints faster than they are read; try again when it has ended",
				ErrDamaged, e.Step, err)
		}
	}
}

// rebuild makes a HEAD from the manifests of epochs after the given one: the highest valid
// (epoch, step) and the commits that it continues. seen reports whether there was any checkpoint object.
func rebuild(ctx context.Context, b blob.Bucket, after int64) (h Head, seen bool, err error) {
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
		if !ok || perr != nil || epoch <= after {
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
