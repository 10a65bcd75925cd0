package workflows_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"

	"trmsweep/workflows"
)

// No input, null and {} are the same start, of every type.
func TestNoInput(t *testing.T) {
	for _, name := range workflows.Types {
		t.Run(name, func(t *testing.T) {
			var first string
			for _, input := range [][]any{nil, {nil}, {json.RawMessage("null")}, {json.RawMessage("{}")}, {map[string]any{}}} {
				w := newWorld()
				env := w.env(t)
				var did []string
				env.SetOnActivityStartedListener(func(a *activity.Info, _ context.Context, args converter.EncodedValues) {
					did = append(did, a.ActivityType.Name)
				})
				env.ExecuteWorkflow(name, input...)
				if err := env.GetWorkflowError(); err != nil {
					t.Fatalf("with %s: %v", input, err)
				}
				var progress any
				if v, err := env.QueryWorkflow(workflows.QueryProgress); err != nil || v.Get(&progress) != nil {
					t.Errorf("its progress cannot be asked for: %v", err)
				}
				counts := map[string]int{}
				for _, d := range did {
					counts[d]++
				}
				got, _ := json.Marshal(counts)
				if first == "" {
					first = string(got)
				}
				if string(got) != first || len(did) == 0 {
					t.Errorf("with %s it did %s, without input %s", input, got, first)
				}
			}
		})
	}
}

// bad is an input and what must be in the error.
type bad struct {
	name, input string
	want        []string
}

// All faults of an input come at once, and before anything is run.
func TestInputIsStrict(t *testing.T) {
	sweep := []bad{
		{"misspelt field", `{"profil":"smoke"}`, []string{`unknown field "profil"; the nearest known one is "profile"`}},
		{"wrong types", `{"parallelism":"two","seeds":7,"force":"yes","budget_hours":[]}`,
			[]string{`parallelism: "two" is not a whole number`, `seeds: 7 is not a list, each of it a whole number`,
				`force: "yes" is not true or false`, `budget_hours: [] is not a number`}},
		{"out of range", `{"priority":9,"parallelism":-1,"budget_hours":-2,"halving":1,"preflight":"some","seeds":[1,-1,1]}`,
			[]string{"priority 9", "parallelism -1", "budget_hours -2", "halving 1", `preflight "some"`, "seed -1", "seed 1 is given twice"}},
		{"budget without end", `{"budget_hours":1e300}`, []string{"budget_hours 1e+300 (0 to 1e+06)"}},
		{"carried rows that name paths", `{"carried":{"experiments":[{"item":{"run":"../x","spec_key":"specs/x.json"}}]}}`,
			[]string{`run: invalid object key "../x"`}},
		{"unknown profile", `{"profile":"smok"}`, []string{"smok"}},
		{"unknown names", `{"experiments":["nope"],"phases":["base"]}`, []string{`unknown experiment "nope"`, `unknown phase "base"`}},
		{"unknown override", `{"overrides":["hiden_size=3"]}`, []string{"hidden_size"}},
		{"all kinds at once", `{"profil":"smoke","priority":9,"seeds":"1","experiments":["nope"],"overrides":["hiden_size=3"]}`,
			[]string{`"profil"`, "priority 9", `seeds: "1"`, `"nope"`, "hidden_size"}},
		{"no object", `"smoke"`, []string{"want a JSON object"}},
	}
	other := map[string][]bad{
		workflows.ExperimentType: {
			{"all at once", `{"experiment":"e1_1_basline","seeed":1,"priority":7,"overrides":["lr=x"]}`,
				[]string{"e1_1_basline", `"seeed"; the nearest known one is "seed"`, "priority 7"}},
			{"negative seed", `{"seed":-4}`, []string{"seed -4"}},
			{"run that is a path", `{"known":{"finished":false},"item":{"run":"../../outside/pwn","spec_key":"specs/x.json"}}`,
				[]string{`run: invalid object key "../../outside/pwn"`}},
			{"spec that is none", `{"item":{"run":"x","spec_key":"runs/x/HEAD.json"}}`,
				[]string{`spec_key: invalid object key "runs/x/HEAD.json": specs lie under specs/`}},
			{"no names", `{"item":{}}`, []string{`run: invalid object key ""`, `spec_key: invalid object key ""`}},
			{"timeouts", `{"timeouts":{"heartbeat":-5}}`, []string{"timeouts: -5ns (0 to 24h)"}},
			{"contradiction", `{"overrides":["hidden_size=7"]}`, []string{"hidden_size"}},
		},
		workflows.DatasetGenerationType: {
			{"all at once", `{"experiment":"e1_1_baseline","overrides":["lrr=1"]}`,
				[]string{`"experiment"; the nearest known one is "experiments"`, "lrr"}},
			{"keys that name no specs", `{"spec_keys":["../x","specs/../x","results/x"]}`, []string{`"../x"`, `"specs/../x"`, `"results/x"`}},
			{"wrong type", `{"experiments":"e1_1_baseline"}`, []string{"experiments: \"e1_1_baseline\" is not a list, each of it a text"}},
		},
		workflows.PreflightType: {
			{"all at once", `{"preflight":"none","profile":"smok","x":1}`, []string{`preflight "none"`, "smok", `"x"`}},
		},
	}
	for _, name := range []string{workflows.AllAblationsType, workflows.TNSweepType, workflows.BatchSweepType} {
		other[name] = slices.Clone(sweep)
	}
	other[workflows.AllAblationsType] = append(other[workflows.AllAblationsType],
		bad{"disjoint", `{"experiments":["e3_1_large_model"],"phases":["baseline"]}`, []string{"no experiment is in both"}})
	other[workflows.TNSweepType] = append(other[workflows.TNSweepType],
		bad{"of another sweep", `{"experiments":["e3_1_large_model"],"phases":["scaling"]}`,
			[]string{`"e3_1_large_model" is no phase or experiment of this sweep`, `"scaling" is no phase or experiment of this sweep`}})
	for name, cases := range other {
		for _, c := range cases {
			t.Run(name+"/"+c.name, func(t *testing.T) {
				w := newWorld()
				env := w.env(t)
				env.SetOnActivityStartedListener(func(a *activity.Info, _ context.Context, _ converter.EncodedValues) {
					if a.ActivityType.Name != "Plan" {
						t.Errorf("activity %s was run", a.ActivityType.Name)
					}
				})
				env.ExecuteWorkflow(name, json.RawMessage(c.input))
				err := env.GetWorkflowError()
				if err == nil {
					t.Fatal("accepted")
				}
				for _, want := range c.want {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("error %q is not in %v", want, err)
					}
				}
				if n := w.stored(t); n != 0 {
					t.Errorf("%d objects were stored", n)
				}
			})
		}
	}
}
