package study

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"trmsweep/internal/experiment"
)

// Offering is an input with fields that users do not give. Offered is a pointer to a struct that has only those that they do.
type Offering interface{ Offered() any }

// DecodeStrict decodes an optional JSON object into v, a pointer to a struct. A misspelt field
// is a fault here, and Temporal itself would ignore it. All faults of the object are returned
// at once, and their fields are left as they were; no input and null are fine.
func DecodeStrict(raw json.RawMessage, v any) []string {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	given := map[string]json.RawMessage{}
	if err := json.Unmarshal(raw, &given); err != nil {
		return []string{fmt.Sprintf("input: want a JSON object, not %.60s", raw)}
	}
	var faults []string
	offered, fields := fieldsOf(v)
	if o, ok := v.(Offering); ok {
		offered, _ = fieldsOf(o.Offered())
	}
	for _, name := range sortedKeys(given) {
		f, ok := fields[name]
		if !ok {
			faults = append(faults, fmt.Sprintf("input: unknown field %q%s (known: %s)", name,
				experiment.Suggest("; the nearest known one is %q", name, offered), strings.Join(offered, ", ")))
			continue
		}
		dec := json.NewDecoder(bytes.NewReader(given[name]))
		dec.DisallowUnknownFields()
		if err := dec.Decode(f.Addr().Interface()); err != nil {
			f.SetZero()
			faults = append(faults, fmt.Sprintf("input: %s: %.60s is not %s", name, given[name], kindOf(f.Type())))
		}
	}
	return faults
}

func sortedKeys(m map[string]json.RawMessage) []string {
	var keys []string
	//workflowcheck:ignore
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// fieldsOf returns the fields of the struct at v by their JSON names, and the names in order.
func fieldsOf(v any) ([]string, map[string]reflect.Value) {
	s := reflect.ValueOf(v).Elem()
	var names []string
	fields := map[string]reflect.Value{}
	for _, f := range reflect.VisibleFields(s.Type()) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" {
			continue
		}
		names = append(names, name)
		fields[name] = s.FieldByIndex(f.Index)
	}
	return names, fields
}

// kindOf says what JSON a field takes.
func kindOf(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a text"
	case reflect.Slice:
		return "a list, each of it " + kindOf(t.Elem())
	}
	return "what it should be"
}
