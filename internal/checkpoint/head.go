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

// ReadHead reads HEAD.json; blob.ErrNotExist if the run does not exist.
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
	if h.Format < 1 || h.Term < 1 || h.Lease == "" {
		return Head{}, attr, fmt.Errorf("%w: no version, term or lease in it", ErrHead)
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
	rebuilt string // why, if it does not come from HEAD.json
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
	r, err := rebuild(ctx, b, 0)
	if err != nil {
		return foundHead{}, err
	}
	// Objects are made after HEAD. If there are some, and HEAD has come in the
	// meantime, then another attempt is beside this one and nothing is lost.
	if now, _, err := readHead(ctx, b); err == nil {
		return foundHead{Head: now}, nil
	}
	h = r.Head
	h.Generation = generation
	switch {
	case len(h.Entries) > 0:
		return foundHead{h, why.Error()}, nil
	case absent && !r.anyObject:
		return foundHead{Head: h}, nil
	}
	return foundHead{}, fmt.Errorf("%w: %w, and no valid manifest was found under ckpt/; "+
		"restore the objects, or delete this run to start it again", ErrAllBad, why)
}

// supported is h, or what h should be if checkpoints lie beside it that it does not know of:
//
//   - of a later term than its own, or any at all if it lists none and they were not
//     forgotten: it is an older copy of HEAD.json, or another run's;
//   - of its own term and newer than the newest that it lists. Only the holder of a term writes
//     its manifests, one after the other, each before HEAD.json. So either the holder died between
//     the two writes, or is between them now, and one manifest is ahead; or it wrote HEAD.json
//     again afterwards, and h is an older copy.
//
// Why a manifest that is ahead may be taken, though its writer may be alive: it is written last of
// its checkpoint's objects, so that the checkpoint is whole, and its bytes are those that the
// holder is about to commit. Readers change nothing. An attempt that takes the run replaces
// HEAD.json at the generation of h: either it is the first, and the holder's own commit fails, or
// it has to look again. The holder deletes a checkpoint whose manifest it has sent only after it
// has committed a later one, which also changes HEAD.json; a fenced one leaves it alone (deleteFailed).
// A manifest that a fenced holder writes later is of an older term than HEAD.json, and is not taken.
func supported(ctx context.Context, b blob.Bucket, h Head) (foundHead, error) {
	last, later, err := beside(ctx, b, h)
	if err != nil {
		return foundHead{}, err
	}
	listsNone := len(h.Entries) == 0 && last > h.Forgotten
	older := last > h.Term
	if !older && !listsNone && !later {
		return foundHead{Head: h}, nil
	}
	found, err := rebuild(ctx, b, h.Forgotten)
	if err != nil {
		return foundHead{}, err
	}
	pruned, err := anyDeleted(ctx, b, h.Entries)
	if err != nil {
		return foundHead{}, err
	}
	now, _, err := readHead(ctx, b)
	if err == nil && now.Generation != h.Generation { // it has been written meanwhile
		return foundHead{Head: now}, nil
	}
	return corrected(h, found, pruned), nil
}

// corrected is h as the manifests that were found beside it correct it. pruned: some that h
// lists are gone, as after a later commit.
func corrected(h Head, found rebuiltHead, pruned bool) foundHead {
	newest := found.newest
	listsNone := len(h.Entries) == 0
	term := h.Term
	h.Term = max(term, found.Term)
	if newest == nil {
		return foundHead{Head: h}
	}
	listed := func(manifest string) bool {
		return slices.ContainsFunc(h.Entries, func(e Entry) bool { return e.Manifest == manifest })
	}
	e := found.Entries[len(found.Entries)-1]
	own := newest.Term == term
	next := listed(newest.Parent) && !pruned
	if listsNone {
		next = newest.Parent == ""
	}
	var why string
	switch {
	case found.Term > term:
		why = fmt.Sprintf("HEAD.json is of term %d and there are checkpoints of term %d", term, found.Term)
	case own && listed(e.Manifest):
		return foundHead{Head: h}
	case own && next:
		h.Entries = append(slices.Clone(h.Entries), e)
		markBest(h.Entries, newest.Meta.BestStep)
		return foundHead{Head: h}
	case listsNone:
		why = "HEAD.json lists no checkpoint and there are some"
	case own:
		why = fmt.Sprintf("HEAD.json does not list the checkpoint of step %d, which its own owner has committed", e.Step)
	default: // what is newer than h by its name cannot be read
		return foundHead{Head: h}
	}
	h.Entries = found.Entries
	return foundHead{h, why + ": it is an older copy, or another run's"}
}

// anyDeleted reports whether the manifest of one of the entries is gone.
func anyDeleted(ctx context.Context, b blob.Bucket, entries []Entry) (bool, error) {
	for _, e := range entries {
		_, err := b.Stat(ctx, e.Manifest)
		if errors.Is(err, blob.ErrNotExist) {
			return true, nil
		}
		if err != nil {
			return false, fmt.Errorf("look for %s: %w", e.Manifest, err)
		}
	}
	return false, nil
}

// beside is the highest term of a manifest (0: there is none), and whether there is one of h's
// term, not forgotten, that h does not list and that is not older than those that it lists.
func beside(ctx context.Context, b blob.Bucket, h Head) (last int64, later bool, err error) {
	listed := map[string]bool{}
	newest := int64(-1)
	for _, e := range h.Entries {
		listed[e.Manifest] = true
		if e.Term == h.Term {
			newest = max(newest, e.Step)
		}
	}
	for attr, err := range b.List(ctx, "ckpt/") {
		if err != nil {
			return 0, false, fmt.Errorf("list manifests: %w", err)
		}
		step, term, ok := manifestOf(attr.Key)
		if !ok {
			continue
		}
		last = max(last, term)
		own := term == h.Term && term > h.Forgotten
		if own && step >= newest && !listed[attr.Key] {
			later = true
		}
	}
	return last, later, nil
}

// lastTerm is the highest term of a manifest, 0 if there is none.
func lastTerm(ctx context.Context, b blob.Bucket) (last int64, err error) {
	for attr, err := range b.List(ctx, "ckpt/") {
		if err != nil {
			return 0, fmt.Errorf("list manifests: %w", err)
		}
		if _, term, ok := manifestOf(attr.Key); ok {
			last = max(last, term)
		}
	}
	return last, nil
}

// manifestOf is the step and the term in the name of a manifest; false for other objects.
func manifestOf(key string) (step, term int64, ok bool) {
	id, isManifest := strings.CutSuffix(strings.TrimPrefix(key, "ckpt/"), "/"+manifestName)
	if !isManifest {
		return 0, 0, false
	}
	name, err := parseID(id)
	return name.step, name.term, err == nil
}

// unlisted are the checkpoints with a valid manifest that h does not list, oldest
// first, as a reconstruction of HEAD would list them.
func unlisted(ctx context.Context, b blob.Bucket, h Head) ([]Entry, error) {
	found, err := rebuild(ctx, b, h.Forgotten)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(found.Entries, func(e Entry) bool {
		return slices.ContainsFunc(h.Entries, func(x Entry) bool { return x.Manifest == e.Manifest })
	}), nil
}

// foundRun is HEAD with the newest of its checkpoints whose manifest can be read.
type foundRun struct {
	foundHead
	newest *Manifest // nil: there is none
	entry  Entry     // of newest
}

// look is currentHead and its newest checkpoint. If no manifest that HEAD lists can be read,
// the entries are those that lie beside it.
func look(ctx context.Context, b blob.Bucket) (r foundRun, err error) {
	if r.foundHead, err = currentHead(ctx, b); err != nil {
		return r, err
	}
	r.newest, r.entry, err = newestManifest(ctx, b, r.Entries)
	if r.newest != nil || err != nil || len(r.Entries) == 0 {
		return r, err
	}
	lying, err := unlisted(ctx, b, r.Head)
	if err != nil || len(lying) == 0 {
		return r, err
	}
	r.Entries, r.rebuilt = lying, noneWhole
	r.newest, r.entry, err = newestManifest(ctx, b, lying)
	return r, err
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
// changing nothing: nil if nothing is committed or no manifest can be read. ErrAllBad
// and ErrFormat as from Acquire.
func Newest(ctx context.Context, b blob.Bucket) (*Manifest, Entry, error) {
	r, err := look(ctx, b)
	return r.newest, r.entry, err
}

// ErrTooFast: a run that goes on has deleted every checkpoint while it was read.
var ErrTooFast = errors.New("the run deletes its checkpoints faster")

// lookAgain is how often Load follows a HEAD that moves on while it reads.
const lookAgain = 10

// Load reads the checkpoint that choose picks, without taking the run from whoever trains
// it. If it cannot be read and HEAD has changed, since the run goes on and deletes old
// checkpoints, Load starts over. blob.ErrNotExist if there is no such run; choose's errors are Load's.
func Load(ctx context.Context, b blob.Bucket, choose func(Head) (Entry, error)) (*Checkpoint, error) {
	for try := 1; ; try++ {
		h, err := look(ctx, b)
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
			return nil, fmt.Errorf("%w than they are read, the last one of step %d; "+
				"try again when it has ended, or let it keep more (keep_checkpoints)", ErrTooFast, e.Step)
		}
	}
}

// rebuiltHead is a HEAD that was made from manifests.
type rebuiltHead struct {
	Head
	newest    *Manifest // nil: there is none
	anyObject bool      // there was an object of a checkpoint, whole or not
}

// rebuild makes a HEAD from the manifests of terms after the given one: the highest valid
// (term, step), which is the newest, and the commits that it continues.
func rebuild(ctx context.Context, b blob.Bucket, after int64) (rebuiltHead, error) {
	var h rebuiltHead
	found := map[string]Entry{}
	parents := map[string]string{}
	var all []Entry
	var last Entry
	for attr, err := range b.List(ctx, "ckpt/") {
		if err != nil {
			return rebuiltHead{}, fmt.Errorf("list manifests: %w", err)
		}
		h.anyObject = true
		_, term, ok := manifestOf(attr.Key)
		h.Term = max(h.Term, term)
		if !ok || term <= after {
			continue
		}
		e := Entry{Manifest: attr.Key, Generation: attr.Generation}
		m, sum, err := readManifest(ctx, b, e)
		var bad *badError
		if errors.As(err, &bad) {
			continue
		}
		if err != nil {
			return rebuiltHead{}, err
		}
		e = entryOf(m, attr.Generation, sum)
		found[e.Manifest], parents[e.Manifest] = e, m.Parent
		all = append(all, e)
		if h.newest == nil || m.after(h.newest) {
			h.newest, last = &m, e
		}
	}
	if h.newest == nil {
		return h, nil
	}
	for key := last.Manifest; key != ""; key = parents[key] {
		e, ok := found[key]
		if !ok {
			// A missing link: older commits that fit below it are as good as it gets.
			h.Entries = append(h.Entries, older(all, h.Entries[len(h.Entries)-1])...)
			break
		}
		h.Entries = append(h.Entries, e)
	}
	slices.Reverse(h.Entries)
	markBest(h.Entries, h.newest.Meta.BestStep)
	return h, nil
}

// after reports whether m is a later checkpoint than o; two of one term and step were made by one process, whose clock tells.
func (m *Manifest) after(o *Manifest) bool {
	return cmp.Or(cmp.Compare(m.Term, o.Term), cmp.Compare(m.Step, o.Step), m.Created.Compare(o.Created)) > 0
}

// older is the commits before e in the order newest first, one per step.
func older(all []Entry, e Entry) []Entry {
	sorted := slices.Clone(all)
	slices.SortFunc(sorted, func(x, y Entry) int {
		return -cmp.Or(cmp.Compare(x.Term, y.Term), cmp.Compare(x.Step, y.Step))
	})
	var out []Entry
	for _, o := range sorted {
		if o.Step < e.Step && o.Term <= e.Term {
			out = append(out, o)
			e = o
		}
	}
	return out
}

// entryOf describes a manifest that was stored.
func entryOf(m Manifest, generation int64, sum string) Entry {
	e := Entry{
		Step: m.Step, Term: m.Term, Manifest: "ckpt/" + m.Commit + "/" + manifestName,
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
		milestone := e.Milestone && e.Bad == ""
		if good < keep || e.Best || milestone {
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
