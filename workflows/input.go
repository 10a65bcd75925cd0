package workflows

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"go.temporal.io/sdk/temporal"

	"trmsweep/activities"
)

// decode reads the optional JSON input of a workflow strictly: Temporal itself
// would ignore a misspelt field. No input and null leave v as it is.
func decode(raw json.RawMessage, v any) error {
	if len(bytes.TrimSpace(raw)) == 0 || string(bytes.TrimSpace(raw)) == "null" {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	err := dec.Decode(v)
	if err == nil {
		return nil
	}
	msg := "input: " + err.Error()
	if _, name, ok := strings.Cut(err.Error(), "unknown field "); ok {
		name = strings.Trim(name, `"`)
		keys := keysOf(v)
		msg = fmt.Sprintf("input: unknown field %q; the nearest known one is %q (known: %s)", name, nearest(name, keys), strings.Join(keys, ", "))
	}
	return temporal.NewNonRetryableApplicationError(msg, activities.ErrConfig, err)
}

// check finds what is wrong with a sweep's input without looking at files.
func check(in activities.SweepInput) error {
	var faults []string
	if in.Parallelism < 0 {
		faults = append(faults, fmt.Sprintf("parallelism %d (0 or more)", in.Parallelism))
	}
	if in.BudgetHours < 0 {
		faults = append(faults, fmt.Sprintf("budget_hours %g (0 or more)", in.BudgetHours))
	}
	if in.Priority < 0 || in.Priority > 5 {
		faults = append(faults, fmt.Sprintf("priority %d (0 to 5)", in.Priority))
	}
	if len(faults) == 0 {
		return nil
	}
	return temporal.NewNonRetryableApplicationError("input: out of range: "+strings.Join(faults, ", "), activities.ErrConfig, nil)
}

func keysOf(v any) []string {
	t := reflect.TypeOf(v).Elem()
	var keys []string
	for i := range t.NumField() {
		k, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		keys = append(keys, k)
	}
	return keys
}

// nearest is the word with the least edit distance.
func nearest(word string, words []string) string {
	best, least := "", 1<<30
	for _, w := range words {
		if d := distance(word, w); d < least {
			best, least = w, d
		}
	}
	return best
}

func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diag := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diag, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diag+cost)
		}
	}
	return row[len(b)]
}
