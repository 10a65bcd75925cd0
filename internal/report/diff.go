package report

import (
	"fmt"
	"reflect"

	"trmsweep/internal/experiment"
)

// differences lists the configuration keys in which two specs differ, names aside.
func differences(a, b experiment.Spec) []string {
	out := []string{}
	va, vb := reflect.ValueOf(a), reflect.ValueOf(b)
	for i := range va.NumField() {
		key := va.Type().Field(i).Tag.Get("mapstructure")
		switch key {
		case "name", "phase", "description", "reference", "paper_exact_accuracy", "paper_note":
			continue
		}
		if x, y := va.Field(i).Interface(), vb.Field(i).Interface(); x != y {
			out = append(out, fmt.Sprintf("%s: %v, %v", key, x, y))
		}
	}
	return out
}
