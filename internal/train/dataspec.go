package train

import (
	"trmsweep/internal/dataset"
	"trmsweep/internal/experiment"
)

// DatasetOptions is the dataset that a spec trains on.
func DatasetOptions(s experiment.Spec) dataset.Options {
	return dataset.Options{
		Source:    s.DataSource,
		Subsample: s.DataPuzzles,
		NumAug:    s.DataAugmentations,
		MinRating: s.DataMinRating,
		Count:     s.DataPuzzles,
		TestCount: s.DataTestPuzzles,
		Seed:      s.DataSeed,
	}
}
