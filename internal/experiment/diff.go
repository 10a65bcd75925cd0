package experiment

import (
	"fmt"
	"reflect"
	"slices"
)

// Difference is a configuration key with the values that two specs have.
type Difference struct {
	Key string `json:"key"`
	A   string `json:"a"`
	B   string `json:"b"`
}

// Changes lists the keys that decide what a run computes and in which a spec differs from its
// reference, whose value is A. No change of its own is the rate of the puzzle embedding where it
// is the main one in both, and how many parts a batch is computed in, which only rounds otherwise.
func Changes(reference, s Spec) []Difference {
	oneRate := reference.PuzzleEmbLR == reference.LR && s.PuzzleEmbLR == s.LR
	return slices.DeleteFunc(Differences(reference, s), func(d Difference) bool {
		follows := oneRate && d.Key == "puzzle_emb_lr"
		rounds := d.Key == "gradient_shards"
		return follows || rounds || !Hashed(d.Key)
	})
}

// Differences lists the configuration keys in which two specs differ, names aside.
func Differences(a, b Spec) []Difference {
	out := []Difference{}
	va, vb := reflect.ValueOf(a), reflect.ValueOf(b)
	for i := range va.NumField() {
		key := va.Type().Field(i).Tag.Get("mapstructure")
		switch key {
		case "name", "phase", "description", "reference", "paper_exact_accuracy", "paper_note":
			continue
		}
		if x, y := va.Field(i).Interface(), vb.Field(i).Interface(); x != y {
			out = append(out, Difference{key, fmt.Sprint(x), fmt.Sprint(y)})
		}
	}
	return out
}
