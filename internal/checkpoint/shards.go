package checkpoint

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"trmsweep/internal/blob"
	"trmsweep/internal/tensor"
)

// Where the gradients of a batch are computed in shards, every shard has a file of its own with its rows of the carry, and all other arrays
// are in the file of rank 0. So a checkpoint does not say where a shard was computed, and any number of processes can write and read it.

// KindShard is the kind of a file with one shard's rows of the arrays that have a row per slot of the batch.
const KindShard = "shard"

// perSlot is how the names of these arrays begin.
const perSlot = "carry/"

// transfers is how many shards are written or read at once.
const transfers = 8

func shardName(shard, shards int) string {
	return fmt.Sprintf("shard-%05d-of-%05d.safetensors", shard, shards)
}

// cutShards divides a state into the arrays that are stored once and the shards of the others, along their first axis. It copies no data.
// A state of less than two shards stays whole.
func cutShards(s tensor.State, shards int) (once tensor.State, parts []tensor.State, err error) {
	if shards < 2 {
		return s, nil, nil
	}
	once = tensor.State{}
	for range shards {
		parts = append(parts, tensor.State{})
	}
	for name, a := range s {
		if !strings.HasPrefix(name, perSlot) {
			once[name] = a
			continue
		}
		if len(a.Shape) == 0 || a.Shape[0]%shards != 0 {
			return nil, nil, fmt.Errorf("array %s of shape %v cannot be cut into %d shards", name, a.Shape, shards)
		}
		shape := slices.Clone(a.Shape)
		shape[0] /= shards
		size := len(a.Data) / shards
		for k := range parts {
			parts[k][name] = tensor.Array{DType: a.DType, Shape: shape, Data: a.Data[k*size : (k+1)*size]}
		}
	}
	return once, parts, nil
}

// joinShards undoes cutShards.
func joinShards(once tensor.State, parts []tensor.State) (tensor.State, error) {
	if len(parts) == 0 {
		return once, nil
	}
	all := maps.Clone(once)
	for name, first := range parts[0] {
		if _, twice := once[name]; twice || len(first.Shape) == 0 {
			return nil, fmt.Errorf("array %s of shape %v is not of a shard", name, first.Shape)
		}
		var data [][]byte
		for k, part := range parts {
			a, ok := part[name]
			if !ok || len(part) != len(parts[0]) || a.DType != first.DType || !slices.Equal(a.Shape, first.Shape) {
				return nil, fmt.Errorf("shard %d has other arrays than shard 0: %s", k, name)
			}
			data = append(data, a.Data)
		}
		shape := slices.Clone(first.Shape)
		shape[0] *= len(parts)
		all[name] = tensor.Array{DType: first.DType, Shape: shape, Data: slices.Concat(data...)}
	}
	return all, nil
}

// putShards stores every shard's file.
func putShards(ctx context.Context, b blob.Bucket, t Ticket, parts []tensor.State) ([]File, error) {
	files := make([]File, len(parts))
	err := eachShard(ctx, len(parts), func(ctx context.Context, k int) (err error) {
		files[k], err = putArrays(ctx, b, t, shardName(k, len(parts)), parts[k])
		files[k].Kind, files[k].Shard = KindShard, k
		return err
	})
	return files, err
}

// loadShards reads every shard's file, in the order of the shards.
func loadShards(ctx context.Context, b blob.Bucket, m Manifest) ([]tensor.State, error) {
	files, err := m.shardFiles()
	if err != nil {
		return nil, err
	}
	parts := make([]tensor.State, len(files))
	err = eachShard(ctx, len(files), func(ctx context.Context, k int) (err error) {
		parts[k], err = loadState(ctx, b, m, files[k])
		return err
	})
	return parts, err
}

// shardFiles are the files of the shards, each once and in order.
func (m Manifest) shardFiles() (files []File, err error) {
	for _, f := range m.Files {
		if f.Kind == KindShard {
			files = append(files, f)
		}
	}
	slices.SortFunc(files, func(a, b File) int { return a.Shard - b.Shard })
	for k, f := range files {
		if f.Shard != k {
			return nil, badf("checkpoint %s has no file of shard %d of %d", m.Commit, k, m.Shards)
		}
	}
	if len(files) != m.Shards {
		return nil, badf("checkpoint %s has files of %d shards, want %d", m.Commit, len(files), m.Shards)
	}
	return files, nil
}

// eachShard runs f for every shard, some at once, until one fails.
func eachShard(ctx context.Context, n int, f func(ctx context.Context, k int) error) error {
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(transfers)
	for k := range n {
		all.Go(func() error { return f(ctx, k) })
	}
	return all.Wait()
}
