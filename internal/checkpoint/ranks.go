package checkpoint

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"trmsweep/internal/blob"
	"trmsweep/internal/tensor"
	"trmsweep/internal/wait"
)

// Ticket names a commit before it exists. Rank 0 hands it to the other ranks.
type Ticket struct {
	ID   string `json:"id"`
	Step int64  `json:"step"`
	Term int64  `json:"epoch"`
}

func (t Ticket) dir() string { return "ckpt/" + t.ID + "/" }

// Begin names the commit of a step. With more than one rank: every other rank
// calls SaveRank with the ticket, rank 0 calls Save with it in the snapshot.
func (w *Writer) Begin(step int64) Ticket {
	return Ticket{ID: checkpointID(step, w.term, nonce()), Step: step, Term: w.term}
}

func receiptName(rank, world int) string {
	return fmt.Sprintf("receipt-%05d-of-%05d.json", rank, world)
}

// SaveRank stores a rank's own arrays (its part of the carry) and then a
// receipt. It needs no fence: without rank 0's manifest the files mean nothing.
func SaveRank(ctx context.Context, b blob.Bucket, t Ticket, rank, world int, state tensor.State) error {
	if rank < 1 || rank >= world {
		return fmt.Errorf("rank %d of %d cannot save by itself; rank 0 commits", rank, world)
	}
	f, err := putState(ctx, b, t, rank, world, state)
	if err != nil {
		return err
	}
	data, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("encode receipt: %w", err)
	}
	_, _, err = putNew(ctx, b, t.dir()+receiptName(rank, world), bytes.NewReader(data), int64(len(data)))
	return err
}

func putState(ctx context.Context, b blob.Bucket, t Ticket, rank, world int, state tensor.State) (File, error) {
	f, err := putArrays(ctx, b, t, stateName(rank, world), state)
	f.Kind, f.Rank = KindState, rank
	return f, err
}

// putArrays stores a file of arrays.
func putArrays(ctx context.Context, b blob.Bucket, t Ticket, name string, state tensor.State) (File, error) {
	sf, err := newStateFile(state)
	if err != nil {
		return File{}, err
	}
	attr, sum, err := putNew(ctx, b, t.dir()+name, sf, sf.Size())
	if err != nil {
		return File{}, err
	}
	return File{
		Name: name, Size: attr.Size, CRC32C: attr.CRC32C, SHA256: sum, Generation: attr.Generation, Tensors: sf.tensors,
	}, nil
}

// collect waits for the receipts of the ranks above 0 until ctx ends, and looks at their files.
func (w *Writer) collect(ctx context.Context, a *commitTry, t Ticket, world int) ([]File, error) {
	var files []File
	for rank := 1; rank < world; rank++ {
		a.keys = append(a.keys, t.dir()+stateName(rank, world), t.dir()+receiptName(rank, world))
		f, err := w.receipt(ctx, t, rank, world)
		if err != nil {
			return nil, err
		}
		attr, err := w.b.Stat(ctx, t.dir()+f.Name)
		if err != nil {
			return nil, fmt.Errorf("file of rank %d: %w", rank, err)
		}
		if f.Name != stateName(rank, world) || attr.Size != f.Size || attr.CRC32C != f.CRC32C || attr.Generation != f.Generation {
			return nil, fmt.Errorf("file of rank %d is not the one of its receipt: %w", rank, blob.ErrCorrupt)
		}
		files = append(files, f)
	}
	return files, nil
}

func (w *Writer) receipt(ctx context.Context, t Ticket, rank, world int) (f File, err error) {
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		data, _, err := readObject(ctx, w.b, t.dir()+receiptName(rank, world), 0)
		if err == nil {
			if err := json.Unmarshal(data, &f); err != nil {
				return f, fmt.Errorf("receipt of rank %d: %w", rank, err)
			}
			return f, nil
		}
		if !errors.Is(err, blob.ErrNotExist) {
			return f, fmt.Errorf("receipt of rank %d: %w", rank, err)
		}
		if err := wait.Sleep(ctx, pause); err != nil {
			return f, fmt.Errorf("wait for the receipt of rank %d of %d: %w", rank, world, err)
		}
	}
}

// LoadRank reads the state of one rank.
func LoadRank(ctx context.Context, b blob.Bucket, m Manifest, rank int) (tensor.State, error) {
	for _, f := range m.Files {
		if f.Kind == KindState && f.Rank == rank {
			return loadState(ctx, b, m, f)
		}
	}
	return nil, badf("checkpoint %s has no state of rank %d", m.Commit, rank)
}

func loadState(ctx context.Context, b blob.Bucket, m Manifest, f File) (tensor.State, error) {
	data, _, err := readExactly(ctx, b, "ckpt/"+m.Commit+"/"+f.Name, f.Generation, f.Size, f.SHA256)
	if err != nil {
		return nil, err
	}
	return decodeFile(m, f, data)
}

// decodeFile reads the arrays of a file and compares them with its record.
func decodeFile(m Manifest, f File, data []byte) (tensor.State, error) {
	state, err := decodeState(data)
	if err == nil {
		err = matches(state, f.Tensors)
	}
	if err != nil {
		return nil, badf("file %s of checkpoint %s: %w", f.Name, m.Commit, err)
	}
	return state, nil
}
