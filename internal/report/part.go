package report

import (
	"slices"
	"strings"
)

// Part says what computed the steps of a run from FromStep on, until the next part.
type Part struct {
	FromStep   int64  `json:"from_step"`
	Backend    string `json:"backend"`
	Arithmetic string `json:"arithmetic"` // kernels or device: other ones round otherwise
	Code       string `json:"code"`
}

// arithmetic lists, in order, what computed the run, each once; its backend where it did not say more.
func (r RunResult) arithmetic() []string {
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
func arithmetics(results []RunResult) string {
	var names []string
	for _, r := range results {
		for _, name := range r.arithmetic() {
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
			other := slices.ContainsFunc(r.Computed, func(p Part) bool { return p.Arithmetic != r.Computed[0].Arithmetic })
			if other && !slices.Contains(runs, r.Run) {
				runs = append(runs, r.Run)
			}
		}
	}
	return runs
}
