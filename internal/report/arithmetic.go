package report

import (
	"slices"
	"strings"

	"trmsweep/internal/protocol"
)

// arithmetic lists the distinct kinds of arithmetic (backend and kernels or device) that
// computed a run, in order. An older result that lists none yields its backend.
func arithmetic(r protocol.RunResult) []string {
	var names []string
	for _, p := range r.Computed {
		if !slices.Contains(names, p.Arithmetic) {
			names = append(names, p.Arithmetic)
		}
	}
	if len(names) == 0 && r.Backend != "" {
		names = append(names, r.Backend)
	}
	return names
}

// arithmetics joins the distinct kinds of arithmetic of all results, in order.
func arithmetics(results []protocol.RunResult) string {
	var names []string
	for _, r := range results {
		for _, name := range arithmetic(r) {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	if len(names) == 0 {
		return "-"
	}
	return strings.Join(names, ", ")
}

// mixed returns the names of the runs that were continued with another arithmetic than they began with.
func mixed(rows []Row) []string {
	var runs []string
	for _, row := range rows {
		for _, r := range row.results {
			other := slices.ContainsFunc(r.Computed, func(p protocol.Part) bool { return p.Arithmetic != r.Computed[0].Arithmetic })
			if other && !slices.Contains(runs, r.Run) {
				runs = append(runs, r.Run)
			}
		}
	}
	return runs
}
