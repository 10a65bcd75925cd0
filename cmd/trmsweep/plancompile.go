package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"trmsweep/internal/aot"
	"trmsweep/internal/backend"
	"trmsweep/internal/experiment"
)

// plannedTopology is the slice whose compilations `plan` takes its hours from when it is not told another one.
const plannedTopology = "v4:2x2x1"

// compilePlan compiles the programs of the specs, each distinct one once, and says what the compiler says of them.
func compilePlan(ctx context.Context, a *app, specs []experiment.Spec, topologyName string) ([]*aot.Estimate, error) {
	topology, err := aot.ParseTopology(topologyName)
	if err != nil {
		return nil, usageError{err}
	}
	if err := aot.Supported(); err != nil {
		return nil, usageError{err}
	}
	libtpu, err := backend.Find("tpu")
	if err = errors.Join(err, libtpu.Err); err != nil {
		return nil, usageError{err}
	}
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	jobs, err := planJobs(specs)
	if err != nil {
		return nil, err
	}
	planner := aot.Planner{
		Compiler: aot.Compiler{Library: libtpu.Path, Topology: topology, Command: []string{exe, "aot-compile"}},
		Cache:    aot.Cache{Dir: a.path("cache", "aot")},
		Progress: func(p aot.Progress) { fmt.Fprintln(a.stderr, compileProgress(p)) },
	}
	estimates, err := planner.Estimate(ctx, jobs)
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("stopped: what was compiled is kept in %s, and the same command goes on from there", planner.Cache.Dir)
	case errors.Is(err, aot.ErrTopology):
		return nil, usageError{err}
	case err != nil:
		return nil, err
	}
	out := make([]*aot.Estimate, len(estimates))
	for i := range estimates {
		out[i] = &estimates[i]
	}
	return out, nil
}

// knownPlan is what earlier calls of compilePlan have left in the cache; nil if it has nothing of a spec.
func knownPlan(a *app, specs []experiment.Spec) []*aot.Estimate {
	cache := aot.Cache{Dir: a.path("cache", "aot")}
	none := make([]*aot.Estimate, len(specs))
	if cache.Empty() {
		return none
	}
	topology, err := aot.ParseTopology(plannedTopology)
	if err != nil {
		return none
	}
	jobs, err := planJobs(specs)
	if err != nil {
		return none // a build that cannot compile has FLOPs to go by
	}
	return cache.Known(topology, jobs)
}

func planJobs(specs []experiment.Spec) ([]aot.Job, error) {
	jobs := make([]aot.Job, len(specs))
	for i, s := range specs {
		var err error
		if jobs[i], err = aot.NewJob(s); err != nil {
			return nil, err
		}
	}
	return jobs, nil
}

func compileProgress(p aot.Progress) string {
	if p.Next == "" {
		return fmt.Sprintf("compiled %d programs", p.Done)
	}
	line := fmt.Sprintf("compiling %d of %d: %s", p.Done+1, p.Total, p.Next)
	if p.Left > 0 {
		line += fmt.Sprintf("; about %s left", p.Left.Round(time.Second))
	}
	return line
}

// compiledForV4 says that no hours are of another chip.
func compiledForV4(rows []planRow) bool {
	return !slices.ContainsFunc(rows, func(r planRow) bool { return r.Compiled != nil && !strings.HasPrefix(r.Compiled.Topology, "v4:") })
}

// printCompiled is the second table of a plan, printed if something is compiled: the compiler's view of each run on one chip.
func printCompiled(a *app, rows []planRow) error {
	var runs []planRow
	for _, r := range rows {
		if r.Compiled != nil && r.SameAs == nil {
			runs = append(runs, r)
		}
	}
	if len(runs) == 0 {
		return nil
	}
	fmt.Fprintln(a.stdout)
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "COMPILED\tROWS\tSHARDS\tCOMPILE S\tCPU S\tHBM NEEDED\tOF\tTFLOP/STEP\tGB/STEP\tMS BY FLOP\tMS BY "+
		"BYTES\tBOUND\tS/STEP\tHOURS")
	for _, r := range runs {
		e := r.Compiled
		fmt.Fprintf(w, "%s\t%d\t%d\t%.0f\t%.0f\t%s\t%s\t", r.Experiment, e.Rows, e.Shards, e.CompileSeconds, e.CPUSeconds, aot.GiB(e.HBMNeeded),
			aot.GiB(e.HBMAvailable))
		if !e.Fits {
			fmt.Fprintln(w, "does not fit\t\t\t\t\t\t")
			continue
		}
		fmt.Fprintf(w, "%.3g\t%.4g\t%.4g\t%.4g\t%s\t%.3g\t%.3g\n",
			e.FLOPsPerStep/1e12, e.BytesPerStep/1e9, 1e3*e.FLOPSeconds, 1e3*e.ByteSeconds, e.Bound, e.StepSeconds, e.Hours)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(a.stdout, "\n"+compiledNotes(runs))
	return err
}

// compiledNotes says in plain words what the second table takes for granted.
func compiledNotes(runs []planRow) string {
	topology, err := aot.ParseTopology(runs[0].Compiled.Topology)
	if err != nil {
		return err.Error()
	}
	chip := topology.Chip
	notes := []string{fmt.Sprintf("Compiled for %s by libtpu %.12s. A %s chip makes %.0f TFLOP/s in bfloat16 and moves %.0f GB/s; seconds "+
		"and hours are the least that these rates allow.",
		topology.Name, runs[0].Compiled.Libtpu, chip.Kind, chip.PeakFLOPs/1e12, chip.Bandwidth/1e9)}
	if topology.Chips > 1 {
		notes = append(notes, fmt.Sprintf("%s has %d chips: a run computes on one of them today, and these figures are of that one.",
			topology.Name, topology.Chips))
	}
	if slices.ContainsFunc(runs, func(r planRow) bool { return r.Compiled.Shards > 1 }) {
		notes = append(notes, "SHARDS (gradient_shards) of ROWS rows make a batch, one after another on the chip.")
	}
	return strings.Join(notes, "\n")
}

// tooBig is the error of a plan of which some experiments do not fit the chip.
func tooBig(rows []planRow, topology string) error {
	var problems []string
	runs := 0
	for _, r := range rows {
		if r.SameAs != nil {
			continue
		}
		runs++
		if why := r.Compiled.Problem(); why != "" {
			problems = append(problems, r.Experiment+": "+why)
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d runs do not fit one chip of %s:\n  %s\n"+
		"cut the batch into more parts, which are computed one after another, with --set gradient_shards=N",
		len(problems), runs, topology, strings.Join(problems, "\n  "))
}
