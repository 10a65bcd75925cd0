package report

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"trmsweep/internal/blob"
	"trmsweep/internal/dataset"
	"trmsweep/internal/layout"
	"trmsweep/internal/protocol"
)

// Datasets maps the hash of a dataset to the information that the store has about it.
type Datasets map[string]Dataset

// Dataset describes the contents and the source of a dataset.
type Dataset struct {
	dataset.Summary
	Puzzles string // identifies the test puzzles by the hashes of the files with their questions and answers
}

// ReadDatasets reads provenance and manifest of the results' datasets. It leaves out
// datasets that are missing or damaged in the store.
func ReadDatasets(ctx context.Context, b blob.Bucket, results ...protocol.RunResult) (Datasets, error) {
	sets := Datasets{}
	for _, r := range results {
		if _, known := sets[r.DatasetHash]; known || r.DatasetHash == "" {
			continue
		}
		sum, err := dataset.Provenance(ctx, b, r.DatasetHash)
		if err == nil {
			var test string
			test, err = testPuzzles(ctx, b, r.DatasetHash)
			sets[r.DatasetHash] = Dataset{sum, test}
		}
		if err != nil && !errors.Is(err, blob.ErrNotExist) && !errors.Is(err, blob.ErrCorrupt) {
			return nil, err
		}
	}
	return sets, nil
}

// testPuzzles identifies the test puzzles of a dataset by the hashes of their files.
func testPuzzles(ctx context.Context, b blob.Bucket, hash string) (string, error) {
	key := layout.DatasetKey(hash, layout.ManifestFile)
	data, _, err := blob.ReadAll(ctx, b, key, 0)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", key, err)
	}
	var m struct {
		Files []struct{ Name, SHA256 string }
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return "", fmt.Errorf("read %s: %w: %w", key, blob.ErrCorrupt, err)
	}
	name := ""
	for _, f := range m.Files {
		if f.Name == "test/all__inputs.npy" || f.Name == "test/all__labels.npy" {
			name += f.SHA256
		}
	}
	return name, nil
}

// sameTest says whether two results were evaluated on the same test puzzles. Datasets
// with different training puzzles may share their test puzzles.
func (d Datasets) sameTest(a, b protocol.RunResult) bool {
	x, y := d[a.DatasetHash].Puzzles, d[b.DatasetHash].Puzzles
	sameHash := a.DatasetHash == b.DatasetHash
	samePuzzles := x != "" && x == y
	return sameHash || samePuzzles
}

// datasetOrder returns the dataset hashes of the results in order of first mention. Their
// position is their number in the report.
func datasetOrder(rows []Row) []string {
	var hashes []string
	for _, r := range rows {
		for _, x := range r.results {
			number(&hashes, x.DatasetHash)
		}
	}
	return hashes
}
