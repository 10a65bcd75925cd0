package main

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"trmsweep/internal/study"
	"trmsweep/workflows"
)

// What is given to a start must be what the running workflow has: arguments are never dropped without a word.
func TestDifferences(t *testing.T) {
	for _, c := range []struct {
		name  string
		given any
		has   string
		want  []string
	}{
		{"the same", study.SweepInput{Profile: "smoke", Seeds: []int64{1, 2}}, `{"profile":"smoke","seeds":[1,2]}`, nil},
		{"nothing given", study.SweepInput{}, `{"profile":"smoke"}`, nil},
		{"less given", study.SweepInput{Profile: "smoke"}, `{"profile":"smoke","parallelism":2}`, nil},
		{"another profile", study.SweepInput{Profile: "laptop"}, `{"profile":"smoke"}`, []string{`profile is "smoke", not "laptop"`}},
		{"started without input", study.SweepInput{Priority: 1}, `null`, []string{`priority is the default, not 1`}},
		{"all at once", study.SweepInput{Force: true, Overrides: []string{"lr=1"}}, `{"overrides":["lr=2"]}`,
			[]string{`force is the default, not true`, `overrides is ["lr=2"], not ["lr=1"]`}},
		{"of an experiment", workflows.ExperimentInput{Experiment: "e1", Seed: 3}, `{"experiment":"e1","seed":4}`, []string{"seed is 4, not 3"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := differences(c.given, json.RawMessage(c.has))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}
