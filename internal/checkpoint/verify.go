package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"trmsweep/internal/blob"
	"trmsweep/internal/tensor"
)

// Report is the result of Verify.
type Report struct {
	Head        Head       // as an Acquire would find it
	Rebuilt     string     // why that is not what HEAD.json says; empty if it is
	Checkpoints []Verified // as HEAD lists them
	// Newest is the newest valid manifest; nil if there is none.
	Newest  *Manifest
	Logs    []string // faults of the newest manifest's log pieces
	Orphans []Orphan // stored and referred to by nothing; not a fault
	Objects int      // checked
	Bytes   int64
	OK      bool // HEAD is right, every entry that is not marked bad is whole, and so are the logs
}

// Verified is the result for one checkpoint.
type Verified struct {
	Entry    Entry
	Manifest *Manifest // nil if it cannot be read
	Faults   []string
}

// Verify reads every byte that HEAD refers to and compares it with what was
// recorded. It changes nothing. An error means that it could not finish
// (blob.ErrNotExist: there is no run; ErrAllBad: no HEAD, and none can be rebuilt); damage is in the report.
func Verify(ctx context.Context, b blob.Bucket) (Report, error) {
	found, err := look(ctx, b)
	if err != nil {
		return Report{}, fmt.Errorf("verify: %w", err)
	}
	h := found.Head
	if h.Generation == 0 && len(h.Entries) == 0 {
		return Report{}, fmt.Errorf("verify: read HEAD.json: %w", blob.ErrNotExist)
	}
	r := Report{Head: h, Rebuilt: found.rebuilt, OK: found.rebuilt == ""}
	if err := r.checkpoints(ctx, b, h.Entries); err != nil {
		return Report{}, fmt.Errorf("verify: %w", err)
	}
	if len(h.Entries) > 0 && r.Newest == nil {
		r.OK = false
		lying, err := unlisted(ctx, b, h)
		if err == nil {
			err = r.checkpoints(ctx, b, lying)
		}
		if err != nil {
			return Report{}, fmt.Errorf("verify: %w", err)
		}
		if r.Newest != nil {
			r.Rebuilt = noneWhole
			h.Entries = slices.Concat(h.Entries, lying)
		}
	}
	if r.Newest != nil {
		for _, c := range slices.Concat(r.Newest.Metrics, r.Newest.TFEvents) {
			_, attr, err := readExactly(ctx, b, c.Key, c.Generation, c.Size, c.SHA256)
			fault, err := r.judge(attr, c.CRC32C, err)
			if err != nil {
				return Report{}, fmt.Errorf("verify: %w", err)
			}
			if fault != "" {
				r.Logs, r.OK = append(r.Logs, fault), false
			}
		}
	}
	if r.Orphans, err = findOrphans(ctx, b, h); err != nil {
		return Report{}, fmt.Errorf("verify: %w", err)
	}
	return r, nil
}

// checkpoints reads the checkpoints of entries, oldest first.
func (r *Report) checkpoints(ctx context.Context, b blob.Bucket, entries []Entry) error {
	for _, e := range entries {
		v, err := r.checkpoint(ctx, b, e)
		if err != nil {
			return err
		}
		if e.Bad == "" && len(v.Faults) > 0 {
			r.OK = false
		}
		if e.Bad == "" && len(v.Faults) == 0 {
			r.Newest = v.Manifest
		}
		r.Checkpoints = append(r.Checkpoints, v)
	}
	return nil
}

func (r *Report) checkpoint(ctx context.Context, b blob.Bucket, e Entry) (Verified, error) {
	v := Verified{Entry: e}
	m, err := ReadManifest(ctx, b, e)
	fault, err := r.judge(blob.Attr{}, 0, err)
	if err != nil {
		return v, err
	}
	if fault != "" {
		v.Faults = append(v.Faults, fault)
		return v, nil
	}
	v.Manifest = &m
	read := map[string]tensor.State{}
	ranks := 0
	for _, f := range m.Files {
		data, attr, err := readExactly(ctx, b, e.dir()+f.Name, f.Generation, f.Size, f.SHA256)
		if err == nil && f.Kind == KindState {
			ranks++
		}
		arrays := f.Kind == KindState || f.Kind == KindShard
		if err == nil && arrays {
			read[f.Name], err = decodeFile(m, f, data)
		}
		fault, err := r.judge(attr, f.CRC32C, err)
		if err != nil {
			return v, err
		}
		if fault != "" {
			v.Faults = append(v.Faults, fault)
		}
	}
	if want := max(m.Meta.WorldSize, 1); ranks != want && len(v.Faults) == 0 {
		v.Faults = append(v.Faults, fmt.Sprintf("state files of %d ranks where the world has %d", ranks, want))
	}
	if len(v.Faults) == 0 {
		if err := verifyState(m, read); err != nil {
			v.Faults = append(v.Faults, err.Error())
		}
	}
	return v, nil
}

// verifyState compares the state of rank 0 and all shards, which are given by the names of their files, with the manifest.
func verifyState(m Manifest, read map[string]tensor.State) error {
	files, err := m.shardFiles()
	if err != nil {
		return err
	}
	var parts []tensor.State
	for _, f := range files {
		parts = append(parts, read[f.Name])
	}
	state, err := joinShards(read[stateName(0, max(m.Meta.WorldSize, 1))], parts)
	if err == nil && state.SHA256() != m.StateSHA256 {
		err = errors.New("the state's SHA-256 is not the manifest's")
	}
	if err != nil {
		return badf("checkpoint %s: %w", m.Commit, err)
	}
	return nil
}

// judge sorts a read's result into a fault, nothing, or an error that ends the check.
func (r *Report) judge(attr blob.Attr, crc uint32, err error) (fault string, fatal error) {
	var bad *badError
	if errors.As(err, &bad) {
		return err.Error(), nil
	}
	if err != nil {
		return "", err
	}
	if attr.Key != "" && attr.CRC32C != crc {
		return fmt.Sprintf("object %s has CRC32C %08x, the manifest says %08x", attr.Key, attr.CRC32C, crc), nil
	}
	r.Objects++
	r.Bytes += attr.Size
	return "", nil
}
