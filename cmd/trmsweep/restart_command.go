package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"go.temporal.io/sdk/client"

	"trmsweep/internal/hint"
	"trmsweep/internal/study"
	"trmsweep/workflows"
)

// again is the command that starts a workflow again which has ended; empty if the server does not know it any more.
func again(ctx context.Context, c client.Client, id string) string {
	start, err := startOf(ctx, c, id, "")
	if err != nil {
		return ""
	}
	if start.kind != workflows.ExperimentType {
		var in study.SweepInput
		if json.Unmarshal(start.input, &in) != nil {
			return ""
		}
		return startCommand(start.kind, id, in)
	}
	var e workflows.ExperimentInput
	if json.Unmarshal(start.input, &e) != nil {
		return ""
	}
	in := study.SweepInput{Profile: e.Profile, Overrides: e.Overrides, Force: e.Force, Priority: e.Priority, StopOnCollapse: e.StopOnCollapse}
	if e.Seed != 0 {
		in.Seeds = []int64{e.Seed}
	}
	return startCommand(e.Experiment, id, in)
}

// startCommand is the command that starts a sweep or an experiment with this id and input. What was forced before is
// not forced again: the finished part of it would be trained once more.
func startCommand(name, id string, in study.SweepInput) string {
	words := []string{"trmsweep start", hint.Word(name), "--id", hint.Word(id)}
	flag := func(given bool, name, value string) {
		if given {
			words = append(words, "--"+name, hint.Word(value))
		}
	}
	flag(in.Profile != "", "profile", in.Profile)
	flag(len(in.Phases) > 0, "phases", strings.Join(in.Phases, ","))
	flag(len(in.Experiments) > 0, "experiments", strings.Join(in.Experiments, ","))
	seeds := strings.Trim(strings.ReplaceAll(fmt.Sprint(in.Seeds), " ", ","), "[]")
	flag(len(in.Seeds) > 0, "seeds", seeds)
	for _, set := range in.Overrides {
		flag(true, "set", set)
	}
	flag(in.Parallelism != 0, "parallelism", strconv.Itoa(in.Parallelism))
	flag(in.Priority != 0, "priority", strconv.Itoa(in.Priority))
	flag(in.BudgetHours != 0, "budget-hours", strconv.FormatFloat(in.BudgetHours, 'g', -1, 64))
	flag(in.Preflight != "", "preflight", in.Preflight)
	flag(in.Halving != 0, "halving", strconv.Itoa(in.Halving))
	if in.StopOnCollapse {
		words = append(words, "--stop-on-collapse")
	}
	return strings.Join(words, " ")
}
