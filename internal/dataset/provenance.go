package dataset

import (
	"context"
	"encoding/json"
	"fmt"

	"trmsweep/internal/blob"
	"trmsweep/internal/layout"
)

// Provenance reads the summary of a dataset in the bucket without its arrays. It returns
// blob.ErrNotExist if the bucket does not have the dataset.
func Provenance(ctx context.Context, bucket blob.Bucket, hash string) (Summary, error) {
	remote := layout.Dataset(bucket, hash)
	fault := func(err error) (Summary, error) {
		return Summary{}, fmt.Errorf("read provenance of dataset %.12s: %w", hash, err)
	}
	b, _, err := blob.ReadAll(ctx, remote, manifestFile, 0)
	if err != nil {
		return fault(err)
	}
	m, err := parseManifest(b, hash)
	if err != nil {
		return fault(err)
	}
	for _, f := range m.Files {
		if f.Name != provenanceFile {
			continue
		}
		if b, _, err = blob.ReadAll(ctx, remote, f.object(), 0); err != nil {
			return fault(err)
		}
		var s Summary
		if err := json.Unmarshal(b, &s); err != nil {
			return fault(err)
		}
		return s, nil
	}
	return fault(blob.ErrNotExist)
}
