package main

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"trmsweep/internal/experiment"
	"trmsweep/internal/layout"
)

// Flags that several commands have are declared here, so that they have one name, one text and one default.

// defaultStore is where workers keep everything unless another store is named.
const defaultStore = layout.EmbeddedStore

// workerStore is the store of workers and of what starts them: that of the environment, else the embedded stack's.
func workerStore() string { return envOr("TRMSWEEP_STORE", defaultStore) }

const storeWords = "a folder or gs://bucket/prefix"

// addWorkerStore is --store of commands that work as workers do; what is in the store begins the text.
func addWorkerStore(fl *pflag.FlagSet, store *string, what string) {
	fl.StringVar(store, "store", workerStore(), what+": "+storeWords+" (environment TRMSWEEP_STORE)")
}

// addTrainStore is --store of commands that train without a stack.
func addTrainStore(fl *pflag.FlagSet, store *string) {
	fl.StringVar(store, "store", "", "where checkpoints and results live: "+storeWords+" (default STATE/store; environment TRMSWEEP_STORE)")
}

// addResultsStore is --store of commands that read results (openResults).
func addResultsStore(fl *pflag.FlagSet, store *string) {
	fl.StringVar(store, "store", "", "where runs and results live: "+storeWords+
		" (default: the embedded stack's store in the state folder, started for the moment if it is down, else STATE/store; environment "+
		"TRMSWEEP_STORE)")
}

// addProfile is --profile of commands that resolve experiments themselves.
func addProfile(fl *pflag.FlagSet, profile *string) {
	fl.StringVar(profile, "profile", experiment.DefaultProfile, "profile that scales the experiments: smoke, laptop, paper")
}

// addWorkerProfile is --profile of workers and of their checks.
func addWorkerProfile(fl *pflag.FlagSet, profile *string) {
	fl.StringVar(profile, "profile", envOr("TRMSWEEP_PROFILE", experiment.DefaultProfile), "profile of sweeps that name none: smoke, "+
		"laptop, paper (environment TRMSWEEP_PROFILE)")
}

func addSets(fl *pflag.FlagSet, sets *[]string) {
	fl.StringArrayVar(sets, "set", nil, "key=value that overrides the configuration (repeatable)")
}

// addSpec are the flags that say which specification of an experiment is meant.
func (f *trainFlags) addSpec(fl *pflag.FlagSet) {
	addProfile(fl, &f.profile)
	addSets(fl, &f.sets)
	fl.Int64Var(&f.seed, "seed", 0, "seed instead of the configuration's (0 = the configuration's)")
}

func addBackend(fl *pflag.FlagSet, backend *string) {
	fl.StringVar(backend, "backend", envOr("TRMSWEEP_BACKEND", "auto"), "backend of training: auto, cpu, go, xla:tpu, xla:cuda, xla:cpu "+
		"(environment TRMSWEEP_BACKEND)")
}

func addThreads(fl *pflag.FlagSet, threads *int) {
	fl.IntVar(threads, "threads", 0, "threads of one training process on a CPU (0 = all cores)")
}

// addData are the flags that say where a run's dataset is.
func addData(fl *pflag.FlagSet, cache, data *string) {
	fl.StringVar(cache, "cache", "", "folder of cached datasets (default STATE/cache)")
	fl.StringVar(data, "data", "", "dataset folder to use as it is, instead of the spec's data source")
}

func addJSON(fl *pflag.FlagSet, asJSON *bool) { fl.BoolVar(asJSON, "json", false, "print JSON") }

func addPreflight(fl *pflag.FlagSet, checks *string) {
	fl.StringVar(checks, "preflight", "", "full (default), checks (without trials) or none")
}

// addSlots is --slots of commands that count training processes and know no placement.
func addSlots(fl *pflag.FlagSet, slots *int) {
	fl.IntVar(slots, "slots", 1, "training processes at once")
}

func addAllowHost(cmd *cobra.Command, names *[]string) {
	cmd.Flags().StringArrayVar(names, "allow-host", nil,
		"host `name` under which what is served here may be addressed, beside localhost, 127.0.0.1 and [::1], as through a tunnel (repeatable)")
}
