package experiment

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"trmsweep/internal/layout"
)

// hashFormat is part of every hash; raise it when a value that keeps its key
// changes its meaning, so that old runs are not taken for new ones.
const hashFormat = 1

// unhashed keys change how a run is named, watched or kept, not what it computes.
// The seed names the run beside the hash.
var unhashed = []string{
	"name", "phase", "description", "reference", "profile", "paper_exact_accuracy", "paper_note",
	"checkpoint_every_steps", "keep_checkpoints", "log_every_steps", "xla_metrics_every_steps", "placement", "seed",
}

// Hashed says whether a key decides what a run computes.
func Hashed(key string) bool { return !slices.Contains(unhashed, key) }

// Hash is the hex SHA-256 of everything that decides what a run computes, except
// its seed: canonical JSON (sorted keys, no spaces) of the other fields with a
// format version. Equal hashes and seeds share one run.
func (s Spec) Hash() string {
	data, err := json.Marshal(s)
	if err != nil {
		panic(fmt.Sprintf("marshal spec of %s: %v (Validate refuses such values)", s.Name, err))
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var m map[string]any
	if err := d.Decode(&m); err != nil {
		panic(fmt.Sprintf("decode spec of %s: %v", s.Name, err))
	}
	maps.DeleteFunc(m, func(k string, _ any) bool { return !Hashed(k) })
	m["format"] = hashFormat
	if data, err = json.Marshal(m); err != nil {
		panic(fmt.Sprintf("marshal hashed fields of %s: %v", s.Name, err))
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// RunName names a run's folder: the first 16 digits of the hash and the seed.
func (s Spec) RunName() string { return layout.RunName(s.Hash(), s.Seed) }
