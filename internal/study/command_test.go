package study_test

import (
	"encoding/json"
	"strings"
	"testing"

	"trmsweep/internal/study"
)

// A command that is not exactly understood is refused, with everything that is wrong with it.
func TestCommandsAreStrict(t *testing.T) {
	for name, c := range map[string]struct {
		command string
		want    []string // none: it is valid
	}{
		"pause all":        {`{"action":"pause"}`, nil},
		"priority of some": {`{"action":"priority","priority":1,"experiments":["a"]}`, nil},
		"extend some":      {`{"action":"extend","epochs":7,"experiments":["a"]}`, nil},
		"no action":        {`{}`, []string{`unknown action ""`}},
		"unknown action": {`{"action":"faster"}`,
			[]string{`unknown action "faster" (pause, resume, skip, retry, stop, priority, add_seeds, extend)`}},
		"misspelt field": {`{"action":"pause","experiment":["e1_1_baseline"]}`,
			[]string{`"experiment"; the nearest known one is "experiments"`}},
		"wrong type": {`{"action":"pause","experiments":"e1_1_baseline"}`, []string{`experiments: "e1_1_baseline" is not a list`}},
		"stray fields": {`{"action":"pause","priority":1,"seeds":[1],"epochs":4}`,
			[]string{"pause takes no priority", "pause takes no seeds", "pause takes no epochs"}},
		"priority too high":   {`{"action":"priority","priority":6}`, []string{"priority 6 (1 first to 5 last)"}},
		"priority missing":    {`{"action":"priority"}`, []string{"priority 0 (1 first to 5 last)"}},
		"seeds missing":       {`{"action":"add_seeds"}`, []string{"needs seeds"}},
		"twice the same seed": {`{"action":"add_seeds","seeds":[7,7,-1]}`, []string{"seed 7 is given twice", "seed -1"}},
		"extend all":          {`{"action":"extend","epochs":7}`, []string{"extend needs experiments"}},
		"no object":           {`"pause"`, []string{"want a JSON object"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := study.DecodeCommand(json.RawMessage(c.command))
			if len(c.want) == 0 && err != nil {
				t.Fatal(err)
			}
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("refused with %v, want %q", err, want)
				}
			}
		})
	}
}
