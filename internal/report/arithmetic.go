package report

import (
	"slices"
	"strings"

	"trmsweep/internal/protocol"
)

// arithmetic lists, in order, what computed a run, each once; its backend where it did not say more.
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

// arithmetics lists, in order, what computed the results, each once.
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

// mixed are the runs that went on with other arithmetic than they began with.
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
