package request

import (
	"encoding/json"
	"strings"
	"testing"

	"trmsweep/configs"
	"trmsweep/internal/study"
)

// What a worker would refuse is refused before the start, with what was meant and without fields that users do not give.
func TestInput(t *testing.T) {
	for _, c := range []struct {
		name, kind, input string
		want              []string // none: it is fine
	}{
		{"no input", "TNSweep", "", nil},
		{"all of it", "TNSweep", `{"profile":"smoke","experiments":["e2_2_t2_n2"],"seeds":[1],"priority":1}`, nil},
		{"another type", "Own", `{"x":1}`, nil},
		{"misspelt field", "TNSweep", `{"profil":"smoke"}`, []string{`unknown field "profil"; the nearest known one is "profile"`}},
		{"several faults", "TNSweep", `{"profile":"smok","priority":9}`,
			[]string{`unknown profile "smok"; the nearest known one is smoke`, "priority 9"}},
		{"of another sweep", "TNSweep", `{"experiments":["e3_1_large_model"]}`, []string{"e3_1_large_model is not in TNSweep; it has"}},
		{"misspelt experiment", "TNSweep", `{"experiments":["e2_2_t2_m2"]}`, []string{"the nearest known one is e2_2_t2_n2"}},
		{"misspelt key", "AllAblations", `{"overrides":["hiden_size=3"]}`, []string{"the nearest known key is hidden_size"}},
		{"an experiment", "Experiment", `{"experiment":"e2_2_t2_n2","timeouts":{"heartbeat":1}}`, nil},
		{"misspelt, alone", "Experiment", `{"experiment":"e1_1_basline"}`, []string{"the nearest known one is e1_1_baseline"}},
		{"internal field", "Experiment", `{"carried":{}}`, []string{`unknown field "carried" (known: experiment, seed, profile`}},
		{"dataset", "DatasetGeneration", `{"experiment":"x"}`, []string{`"experiment"; the nearest known one is "experiments"`}},
		{"preflight", "Preflight", `{"experiments":["TNSweep"],"profile":"smoke","preflight":"checks"}`, nil},
		{"preflight, misspelt", "Preflight", `{"experiments":["TNSwep"]}`, []string{"the nearest known one is TNSweep"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := Input(configs.FS, c.kind, json.RawMessage(c.input))
			if len(c.want) == 0 && err != nil {
				t.Error(err)
			}
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%v, want %q", err, want)
				}
			}
		})
	}
}

// Without a profile nobody knows here which numbers will hold: each fault says with which profile it is one.
func TestFaultsWithoutAProfileNameTheirs(t *testing.T) {
	err := Sweep(configs.FS, "TNSweep", study.SweepInput{Overrides: []string{"epochs=7"}})
	for _, want := range []string{
		"2 does not divide epochs 7, so the run would not end with an evaluation, with profile smoke",
		"5000 does not divide epochs 7, so the run would not end with an evaluation, with profile paper",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	err = Sweep(configs.FS, "TNSweep", study.SweepInput{Overrides: []string{"epochs=7", "hiden_size=3"}})
	if err == nil || strings.Contains(err.Error(), "with profile") || !strings.Contains(err.Error(), "hidden_size") {
		t.Errorf("a fault with every profile: %v", err)
	}
	if err := Sweep(configs.FS, "TNSweep", study.SweepInput{Overrides: []string{"epochs=10"}}); err != nil {
		t.Errorf("what one profile takes: %v", err)
	}
}
