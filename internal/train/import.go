package train

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"trmsweep/internal/blob"
	"trmsweep/internal/checkpoint"
	"trmsweep/internal/experiment"
	"trmsweep/internal/protocol"
	"trmsweep/internal/tensor"
	"trmsweep/internal/version"
)

var (
	// ErrRunExists: Import makes new runs only.
	ErrRunExists = errors.New("the run exists")
	// ErrUnfinishedImport: the run was to start from imported weights, which were never committed. Final.
	ErrUnfinishedImport = errors.New("unfinished import")
)

const (
	// importedKey is where a manifest's Extra has the protocol.Imported of a run that did not start from its seed.
	importedKey = "imported"
	// importMarker says the same below a run's folder. It is there before HEAD, and stays: a run that
	// has it and no checkpoint is an import that was not finished, and not one to begin from the seed.
	importMarker = "import.json"
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
	ledger, err := ParseLedger("")
	if err != nil {
		return err
	}
	origin, err := json.Marshal(o.From)
	if err != nil {
		return err
	}
	runs := blob.Prefix(o.Bucket, "runs/"+o.Run+"/")
	seen, err := unfinished(ctx, runs)
	if err != nil {
		return fmt.Errorf("import into run %s: %w", o.Run, err)
	}
	mark, err := blob.PutBytes(ctx, runs, importMarker, append(origin, '\n'), blob.Any)
	if err != nil {
		return fmt.Errorf("import into run %s: %w", o.Run, err)
	}
	w, err := checkpoint.Acquire(ctx, runs, o.Owner, checkpoint.WithYield(func(h checkpoint.Head) error {
		if len(h.Entries) > 0 || h.Generation != seen {
			return ErrRunExists
		}
		return nil
	}))
	if errors.Is(err, ErrRunExists) && seen == 0 { // somebody began to train it just now: it is no import
		err = errors.Join(err, runs.Delete(ctx, importMarker, mark.Generation))
	}
	if err != nil {
		return fmt.Errorf("import into run %s: %w", o.Run, err)
	}
	if err := putSpec(ctx, runs, o.Spec); err != nil {
		return fmt.Errorf("import into run %s: %w", o.Run, err)
	}
	meta := checkpoint.Meta{
		ConfigHash:   o.Spec.Hash(),
		DatasetHash:  o.DatasetHash,
		CodeVersion:  version.Code(),
		WorldSize:    1,
		Seed:         o.Spec.Seed,
		LedgerSHA256: ledger.Digest(),
		Extra:        map[string]json.RawMessage{importedKey: origin},
	}
	if _, err := w.Save(ctx, checkpoint.Snapshot{State: o.State, Meta: meta, Milestone: true}); err != nil {
		return fmt.Errorf("import into run %s: %w; the same command makes it anew", o.Run, err)
	}
	return nil
}

// unfinished is the generation of the HEAD of an import that was not finished, 0 where there is
// no run; ErrRunExists where there is another.
func unfinished(ctx context.Context, runs blob.Bucket) (int64, error) {
	m, _, err := checkpoint.Newest(ctx, runs)
	if m != nil || errors.Is(err, checkpoint.ErrAllBad) {
		return 0, ErrRunExists
	}
	if err != nil {
		return 0, err
	}
	h, err := checkpoint.ReadHead(ctx, runs)
	if errors.Is(err, blob.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if len(h.Entries) > 0 {
		return 0, ErrRunExists
	}
	_, err = runs.Stat(ctx, importMarker)
	if errors.Is(err, blob.ErrNotExist) {
		return 0, ErrRunExists
	}
	return h.Generation, err
}

// notImported is ErrUnfinishedImport where a run without a checkpoint was to be an import.
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
	return fmt.Errorf("%w: run %s was to start from the weights of %s, and they were never committed: "+
		"repeat the same `trmsweep import`, or choose another --run", ErrUnfinishedImport, run, from.File)
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
