package train

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"trmsweep/internal/blob"
	"trmsweep/internal/checkpoint"
	"trmsweep/internal/experiment"
	"trmsweep/internal/layout"
	"trmsweep/internal/protocol"
	"trmsweep/internal/tensor"
	"trmsweep/internal/version"
)

var (
	// ErrRunExists: Import makes new runs only.
	ErrRunExists = errors.New("exists")
	// ErrUnfinishedImport: the run was to start from imported weights, which were never committed. Final.
	ErrUnfinishedImport = errors.New("unfinished import")
)

const (
	// importedKey is where a manifest's Extra has the protocol.Imported of a run that did not start from its seed.
	importedKey = "imported"
	// importMarker says the same below a run's folder. It is there before HEAD, and stays: a run that
	// has it and no checkpoint is an import that was not finished, and not one to begin from the seed.
	importMarker = layout.ImportFile
)

// ImportOptions are a run to make and what it starts from.
type ImportOptions struct {
	Bucket      blob.Bucket
	Run         string
	Spec        experiment.Spec
	DatasetHash string
	State       tensor.State // the whole state at step 0
	From        protocol.Imported
	Owner       checkpoint.Owner
}

// Import makes a run whose checkpoint at step 0 is the state. It can be repeated after any
// error and after it was killed. Errors: ErrRunExists, ErrDiverged for a state that is not
// finite, storage.
func Import(ctx context.Context, o ImportOptions) error {
	if err := finite(o.State); err != nil {
		return err
	}
	batches, err := ParseBatchChain("")
	if err != nil {
		return err
	}
	origin, err := json.Marshal(o.From)
	if err != nil {
		return err
	}
	origin = append(origin, '\n')
	runs := layout.Run(o.Bucket, o.Run)
	seen, err := importable(ctx, runs, o.Run)
	if err != nil {
		return err
	}
	mark, first, err := putMarker(ctx, runs, origin)
	if err != nil {
		return fmt.Errorf("import into run %s: %w", o.Run, err)
	}
	w, err := checkpoint.Begin(ctx, runs, o.Owner, seen)
	if errors.Is(err, blob.ErrPrecondition) {
		if first {
			err = unmark(ctx, runs, mark)
		} else {
			err = nil
		}
		return errors.Join(taken(ctx, runs, o.Run), err)
	}
	if err == nil && !first {
		_, err = blob.PutBytes(ctx, runs, importMarker, origin, blob.Any)
	}
	if err == nil {
		err = protocol.WriteSpec(ctx, runs, o.Spec)
	}
	if err != nil {
		return fmt.Errorf("import into run %s: %w; the same command makes it anew", o.Run, err)
	}
	meta := checkpoint.Meta{
		ConfigHash:  o.Spec.Hash(),
		DatasetHash: o.DatasetHash,
		CodeVersion: version.Code(),
		WorldSize:   1,
		Seed:        o.Spec.Seed,
		BatchSHA256: batches.Digest(),
		Extra:       map[string]json.RawMessage{importedKey: origin},
	}
	_, err = w.Save(ctx, checkpoint.Snapshot{State: o.State, Shards: o.Spec.GradientShards, Meta: meta, Milestone: true})
	if errors.Is(err, checkpoint.ErrFenced) {
		return taken(ctx, runs, o.Run)
	}
	if err != nil {
		return fmt.Errorf("import into run %s: %w; the same command makes it anew", o.Run, err)
	}
	return nil
}

// putMarker makes sure that the import's marker is there, and renews one that is, so that no
// other import can delete it that began before. first: this import has made it.
//
// The marker has to survive the import that loses a run to another one. The loser deletes it
// only if it has made it, and only at that generation. An import that comes later renews the
// marker before it takes HEAD.json, so its marker is at another generation and stays. What is
// deleted is thus a marker that no other import has seen, of a run that somebody has begun to train.
func putMarker(ctx context.Context, runs blob.Bucket, origin []byte) (generation int64, first bool, err error) {
	for {
		attr, err := blob.PutBytes(ctx, runs, importMarker, origin, blob.Absent)
		if err == nil {
			return attr.Generation, true, nil
		}
		if !errors.Is(err, blob.ErrPrecondition) {
			return 0, false, err
		}
		text, attr, err := blob.ReadAll(ctx, runs, importMarker, 0)
		if errors.Is(err, blob.ErrCorrupt) {
			text = origin
			attr, err = runs.Stat(ctx, importMarker)
		}
		if err == nil {
			attr, err = blob.PutBytes(ctx, runs, importMarker, text, attr.Generation)
		}
		if err == nil {
			return attr.Generation, false, nil
		}
		changed := errors.Is(err, blob.ErrPrecondition) || errors.Is(err, blob.ErrNotExist)
		if !changed {
			return 0, false, err
		}
	}
}

// unmark deletes the marker if no other import has renewed it.
func unmark(ctx context.Context, runs blob.Bucket, generation int64) error {
	err := runs.Delete(ctx, importMarker, generation)
	if errors.Is(err, blob.ErrPrecondition) || errors.Is(err, blob.ErrNotExist) {
		return nil
	}
	return err
}

// taken is the error of an import that another process has come before.
func taken(ctx context.Context, runs blob.Bucket, run string) error {
	who := "another process"
	if h, err := checkpoint.ReadHead(ctx, runs); err == nil {
		who += " (" + h.Owner.String() + ")"
	}
	return fmt.Errorf("import: run %s %w now: %s has begun to import or to train it, and nothing of this import was kept; "+
		"look at it with `trmsweep verify --run %s`, or choose another --run", run, ErrRunExists, who, run)
}

// importable is the generation of HEAD.json (0: there is none) of a run that can be made: it does
// not exist, or it is an import of which nothing was committed, whatever its HEAD.json says. ErrRunExists for any other run.
func importable(ctx context.Context, runs blob.Bucket, run string) (int64, error) {
	generation, err := checkpoint.HeadGeneration(ctx, runs)
	if err != nil {
		return 0, fmt.Errorf("import into run %s: %w", run, err)
	}
	m, _, err := checkpoint.Newest(ctx, runs)
	unreadable := errors.Is(err, checkpoint.ErrAllBad)
	if err != nil && !unreadable {
		return 0, fmt.Errorf("import into run %s: %w", run, err)
	}
	absent := m == nil && generation == 0 && !unreadable
	if absent {
		return 0, nil
	}
	if m == nil {
		err := notImported(ctx, runs, run)
		if errors.Is(err, ErrUnfinishedImport) {
			return generation, nil
		}
		if err != nil {
			return 0, err
		}
	}
	return 0, fmt.Errorf("import: run %s %w; choose another --run", run, ErrRunExists)
}

// notImported is for a run of which no manifest can be read. ErrUnfinishedImport: it was to be an import, and
// nothing of it was committed. ErrAllBad: it was one, and was trained. It must not begin from the seed in either case.
func notImported(ctx context.Context, runs blob.Bucket, run string) error {
	text, _, err := blob.ReadAll(ctx, runs, importMarker, 0)
	if errors.Is(err, blob.ErrNotExist) {
		return nil
	}
	if err != nil && !errors.Is(err, blob.ErrCorrupt) {
		return fmt.Errorf("look whether run %s was imported: %w", run, err)
	}
	from := protocol.Imported{File: "a file"}
	if err == nil {
		_ = json.Unmarshal(text, &from) // that it was to be an import is certain without
	}
	trained, err := checkpoint.Trained(ctx, runs)
	if err != nil {
		return fmt.Errorf("look whether run %s was trained: %w", run, err)
	}
	if trained {
		return fmt.Errorf("%w: run %s began from the weights of %s and was trained; bring the objects under ckpt/ back, or choose another --run",
			checkpoint.ErrAllBad, run, from.File)
	}
	return fmt.Errorf("%w: run %s was to start from the weights of %s, and no checkpoint of it can be read: "+
		"repeat the same `trmsweep import`, or choose another --run", ErrUnfinishedImport, run, from.File)
}

// newestManifest is checkpoint.Newest for a run that is looked at to be trained: an import that
// was not finished is said to be one, also if its HEAD.json is damaged.
func newestManifest(ctx context.Context, runs blob.Bucket, run string) (*checkpoint.Manifest, checkpoint.Entry, error) {
	m, e, err := checkpoint.Newest(ctx, runs)
	unreadable := errors.Is(err, checkpoint.ErrAllBad)
	failed := err != nil && !unreadable
	if m != nil || failed {
		return m, e, err
	}
	if ierr := notImported(ctx, runs, run); ierr != nil {
		return nil, e, ierr
	}
	return nil, e, err
}

// imported is where the weights of the run at step 0 come from; nil: from the seed.
func imported(m checkpoint.Meta) *protocol.Imported {
	raw, ok := m.Extra[importedKey]
	if !ok {
		return nil
	}
	var from protocol.Imported
	if err := json.Unmarshal(raw, &from); err != nil {
		from.File = string(raw)
	}
	return &from
}
