package train

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"trmsweep/internal/blob"
	"trmsweep/internal/checkpoint"
	"trmsweep/internal/dataset"
	"trmsweep/internal/experiment"
)

// openSplit opens "train" or "test" of a dataset.
type openSplit func(split string) (*dataset.Set, error)

// inCache opens the splits of a folder of the cache.
func inCache(dir string) openSplit {
	return func(split string) (*dataset.Set, error) { return dataset.Open(dir, split) }
}

// openData makes sure of the dataset and opens both splits. A folder of the user's is
// read into memory: its hash is that of the bytes which are trained on.
func (r *run) openData(ctx context.Context) error {
	if r.o.DataDir != "" {
		f, err := dataset.Load(r.o.DataDir)
		if err != nil {
			return err
		}
		r.meta.DatasetHash = f.Hash
		return r.openSplits(r.o.DataDir, f.Split)
	}
	opts := dataset.OptionsOf(r.spec)
	opts.Opener = r.o.Opener
	d, err := dataset.Ensure(ctx, r.bucket, opts, r.o.CacheDir, nil)
	if err != nil {
		return fmt.Errorf("dataset of %s: %w", r.spec.Name, err)
	}
	r.meta.DatasetHash = d.Hash
	return r.openSplits(d.Dir, inCache(d.Dir))
}

// openDataOf is openData for a run of the store, whose source is not needed.
func (r *run) openDataOf(ctx context.Context, m checkpoint.Meta) error {
	open, hash, err := findData(ctx, r.bucket, r.o.DataDir, r.o.CacheDir, r.o.Opener, r.spec, m.DatasetHash)
	if err != nil {
		return fmt.Errorf("dataset of run %s: %w", r.o.Run, err)
	}
	if r.o.DataDir == "" && hash != m.DatasetHash {
		return needData(r.o.Run, m.DatasetHash, hash)
	}
	if err := r.matches(ctx, m, hash); err != nil {
		return err
	}
	r.meta.DatasetHash = hash
	return r.openSplits(r.o.Run, open)
}

// needData is ErrNeedData for a run that was trained on one dataset if only another was found.
func needData(run, want, got string) error {
	return fmt.Errorf("%w: run %s was trained on %.12s, what is given or described by its spec is %.12s; name its folder with --data",
		ErrNeedData, run, want, got)
}

func (r *run) openSplits(of string, open openSplit) (err error) {
	if r.train, err = open("train"); err != nil {
		return err
	}
	if r.test, err = open("test"); err != nil {
		return err
	}
	r.sampler, err = dataset.NewSampler(r.train, uint64(r.spec.Seed), r.spec.GlobalBatchSize, r.spec.EvalIntervalEpochs)
	if err != nil {
		return fmt.Errorf("batches from %s: %w", filepath.Join(of, "train"), err)
	}
	return nil
}

// findData opens the dataset of a run, which has the name `want`: from dataDir, the
// cache, the store, or its source, in this order. It writes nothing to the store.
// If the returned hash is another name, another dataset was found, and open may be nil.
func findData(ctx context.Context, bucket blob.Bucket, dataDir, cacheDir string, opener dataset.Opener, spec experiment.Spec, want string,
) (open openSplit, hash string, err error) {
	if dataDir != "" {
		f, err := dataset.Load(dataDir)
		if err != nil {
			return nil, "", err
		}
		same, err := dataset.Same(ctx, bucket, want, f.Hash)
		if same {
			return f.Split, want, nil
		}
		return f.Split, f.Hash, err
	}
	dir, err := dataset.Fetch(ctx, bucket, want, cacheDir)
	if err == nil || !errors.Is(err, blob.ErrNotExist) {
		return inCache(dir), want, err
	}
	opts := dataset.OptionsOf(spec)
	opts.Opener = opener
	if hash, err = opts.Hash(ctx); err != nil || hash != want {
		return nil, hash, err
	}
	d, err := dataset.Ensure(ctx, readOnly{bucket}, opts, cacheDir, nil)
	return inCache(d.Dir), d.Hash, err
}
