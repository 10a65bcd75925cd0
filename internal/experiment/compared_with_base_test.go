package experiment_test

import (
	"slices"
	"testing"

	"trmsweep/configs"
	"trmsweep/internal/experiment"
)

// Everything is compared with the base at batch 1024, under its name of the
// experiment's own phase or sweep where it has one there.
func TestReferences(t *testing.T) {
	base := resolve(t, "e1_3_batch_1024", "paper").Hash()
	for _, sweep := range []string{experiment.AllAblations, "TNSweep", "BatchSweep", "ablations", "baseline"} {
		specs, err := experiment.ResolveSweep(configs.FS, []string{sweep}, "paper", nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range specs {
			ref := slices.IndexFunc(specs, func(r experiment.Spec) bool { return r.Name == s.Reference })
			if ref < 0 || specs[ref].Hash() != base {
				t.Errorf("%s: the reference of %s is %q, which is not there or not the base", sweep, s.Name, s.Reference)
			}
		}
	}
}
