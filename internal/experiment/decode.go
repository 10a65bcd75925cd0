package experiment

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
)

// UnmarshalJSON reads a spec that was stored. A key that it lacks, because the program that wrote it did not know
// the key yet, has its neutral value; a key that is not known (any more) is passed over.
func (s *Spec) UnmarshalJSON(data []byte) error {
	type plainSpec Spec // without this method
	out := plainSpec(*s)
	setNeutral(reflect.ValueOf(&out).Elem())
	if err := json.Unmarshal(data, &out); err != nil {
		return err
	}
	*s = Spec(out)
	return nil
}

// setNeutral gives every key that has a neutral value that value.
func setNeutral(spec reflect.Value) {
	for i, f := range fieldsOf(spec.Type()) {
		if f.hash.neutral != nil {
			spec.Field(i).Set(reflect.ValueOf(f.hash.neutral))
		}
	}
}

// DecodeSpec reads one resolved spec from a file that a user gives, strictly: unknown keys are an error, except for
// those that spec.json had in hash format 1 and that changed nothing.
func DecodeSpec(data []byte) (Spec, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	var keys map[string]json.RawMessage
	if err := d.Decode(&keys); err != nil {
		return Spec{}, err
	}
	if _, err := d.Token(); err != io.EOF {
		return Spec{}, errors.New("more follows the spec, of which nothing would be read; want one JSON object")
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		_, known := fieldByKey[key]
		_, was := removed[key]
		if !known && !was {
			return Spec{}, fmt.Errorf("%s: unknown key%s", key, Suggest("; the nearest known key is %s", key, Keys()))
		}
	}
	var s Spec
	if err := json.Unmarshal(data, &s); err != nil {
		return Spec{}, err
	}
	return s, nil
}
