package workflows

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.temporal.io/sdk/workflow"

	"trmsweep/activities"
	"trmsweep/internal/experiment"
)

// read decodes an optional JSON object into v, a pointer to a struct, strictly:
// Temporal itself would ignore a misspelt field. It returns all that is wrong with
// the object at once and leaves those fields as they are; no input and null are fine.
func read(raw json.RawMessage, v any) []string {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	given := map[string]json.RawMessage{}
	if err := json.Unmarshal(raw, &given); err != nil {
		return []string{fmt.Sprintf("input: want a JSON object, not %.60s", raw)}
	}
	var faults []string
	names, fields := fieldsOf(v)
	for _, name := range workflow.DeterministicKeys(given) {
		f, ok := fields[name]
		if !ok {
			faults = append(faults, fmt.Sprintf("input: unknown field %q; the nearest known one is %q (known: %s)", name, nearest(name, names), strings.Join(names, ", ")))
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

// fieldsOf are the fields of the struct at v by their JSON names, in order.
func fieldsOf(v any) ([]string, map[string]reflect.Value) {
	s := reflect.ValueOf(v).Elem()
	var names []string
	fields := map[string]reflect.Value{}
	for _, f := range reflect.VisibleFields(s.Type()) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
			names, fields[name] = append(names, name), s.FieldByIndex(f.Index)
		}
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

// Check finds what is wrong with a sweep's input without looking at files.
func Check(in activities.SweepInput) []string {
	var faults []string
	fault := func(format string, args ...any) { faults = append(faults, "input: "+fmt.Sprintf(format, args...)) }
	if in.Parallelism < 0 {
		fault("parallelism %d (0 or more)", in.Parallelism)
	}
	const mostHours = 1e6 // of a time.Duration there are 2.5 million
	if !(in.BudgetHours >= 0 && in.BudgetHours <= mostHours) {
		fault("budget_hours %g (0 to %g)", in.BudgetHours, mostHours)
	}
	if in.Priority < 0 || in.Priority > 5 {
		fault("priority %d (0 to 5)", in.Priority)
	}
	if in.Halving < 0 || in.Halving == 1 {
		fault("halving %d (0, or 2 and more)", in.Halving)
	}
	if !slices.Contains([]string{"", PreflightFull, PreflightChecks, PreflightNone}, in.Preflight) {
		fault("preflight %q (full, checks, none)", in.Preflight)
	}
	return append(faults, checkSeeds(in.Seeds)...)
}

func checkSeeds(seeds []int64) []string {
	var faults []string
	for i, s := range seeds {
		if s < 0 {
			faults = append(faults, fmt.Sprintf("input: seed %d (0 or more)", s))
		}
		if slices.Contains(seeds[:i], s) {
			faults = append(faults, fmt.Sprintf("input: seed %d is given twice", s))
		}
	}
	return faults
}

// nearest is the word with the least edit distance.
func nearest(word string, words []string) string { return experiment.Nearest(word, words) }
