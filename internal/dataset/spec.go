package dataset

import "trmsweep/internal/experiment"

// OptionsOf returns the options of the dataset that a specification trains on.
func OptionsOf(s experiment.Spec) Options {
	return Options{
		Source:    s.DataSource,
		Subsample: s.DataPuzzles,
		NumAug:    s.DataAugmentations,
		MinRating: s.DataMinRating,
		Count:     s.DataPuzzles,
		TestCount: s.DataTestPuzzles,
		Seed:      s.DataSeed,
	}
}
