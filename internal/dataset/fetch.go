package dataset

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"trmsweep/internal/blob"
)

// Fetch returns the local folder of a dataset that the bucket holds, by its hash
// and without its source: the verified one in cacheDir, else a copy from the
// bucket's datasets/<hash>/. blob.ErrNotExist where it is in neither.
func Fetch(ctx context.Context, bucket blob.Bucket, hash, cacheDir string) (dir string, err error) {
	base := filepath.Join(cacheDir, "datasets")
	if err := os.MkdirAll(base, 0o755); err != nil {
		return "", diskError(err)
	}
	unlock, err := lock(ctx, filepath.Join(base, hash+".lock"))
	if err != nil {
		return "", fmt.Errorf("lock dataset %.12s in %s: %w", hash, base, err)
	}
	defer unlock()
	dir = filepath.Join(base, hash)
	m, err := readManifest(dir, hash)
	if err == nil {
		err = m.verify(ctx, dir)
	}
	if err == nil {
		return dir, nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return "", fmt.Errorf("remove damaged dataset: %w", err)
	}
	if err := fetch(ctx, blob.Prefix(bucket, "datasets/"+hash+"/"), hash, dir, func(Progress) {}); err != nil {
		return "", fmt.Errorf("fetch dataset %.12s: %w", hash, err)
	}
	return dir, nil
}
