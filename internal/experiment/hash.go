package experiment

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"

	"trmsweep/internal/layout"
)

// hashFormat is part of every hash; raise it when a value that keeps its key
// changes its meaning, so that old runs are not taken for new ones.
const hashFormat = 2

// Hash is the hex SHA-256 of everything that decides what a run computes, except
// its seed: canonical JSON (sorted keys, no spaces) of the hashed keys with a
// format version. A key that has a neutral value is left out of the hash at that
// value: a key that is added later leaves the hashes of all specs without it.
// Equal hashes and seeds share one run.
func (s Spec) Hash() string { return digest(hashedValues(s), hashFormat) }

// Hashed says whether a key decides what a run computes.
func Hashed(key string) bool { return fieldByKey[key].hash.hashed }

// RunName names a run's folder: the first 16 digits of the hash and the seed.
func (s Spec) RunName() string { return layout.RunName(s.Hash(), s.Seed) }

// inHash is what the tag `hash` of a field says: "no", "yes", or "unless=VALUE" for a key that is in the hash at
// every value but its neutral one, which means the same as a program that does not know the key.
type inHash struct {
	hashed  bool
	neutral any // nil: the key has none and is always in the hash
}

// hashedValues are the values that decide what a run computes, by key. spec is a struct with the tags of Spec.
func hashedValues(spec any) map[string]any {
	v := reflect.ValueOf(spec)
	out := map[string]any{}
	for i, f := range fieldsOf(v.Type()) {
		x := v.Field(i).Interface()
		if f.hash.hashed && x != f.hash.neutral {
			out[f.key] = x
		}
	}
	return out
}

func digest(values map[string]any, format int) string {
	values["format"] = format
	data, err := json.Marshal(values)
	if err != nil {
		panic(fmt.Sprintf("marshal hashed values %v: %v (Validate refuses such values)", values, err))
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// RunNames are all names under which the spec's run may lie in a store: RunName, and those that programs with hash
// format 1 gave it. That format hashed num_workers too, which changed nothing: the profiles made it 8 or 1.
func (s Spec) RunNames() []string {
	names := []string{s.RunName()}
	for _, workers := range []int{8, 1} {
		if h := s.formatOneHash(workers); h != "" {
			names = append(names, layout.RunName(h, s.Seed))
		}
	}
	return names
}

// HasHash says whether hash is the spec's hash, in this format or in format 1 with any number of workers that the
// batch could be divided among (64 at most).
func (s Spec) HasHash(hash string) bool {
	if hash == s.Hash() {
		return true
	}
	for workers := 1; workers <= 64; workers++ {
		if s.GlobalBatchSize%workers == 0 && hash == s.formatOneHash(workers) {
			return true
		}
	}
	return false
}

// formatOneHash is the hash in format 1, which had no keys but those that are always hashed, and num_workers;
// empty for a spec that a program of that format cannot have computed.
func (s Spec) formatOneHash(workers int) string {
	values := hashedValues(s)
	for key := range values {
		if fieldByKey[key].hash.neutral != nil {
			return ""
		}
	}
	values["num_workers"] = workers
	return digest(values, 1)
}
