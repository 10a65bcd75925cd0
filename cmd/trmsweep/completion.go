package main

import (
	"io/fs"
	"slices"

	"github.com/spf13/cobra"

	"trmsweep/internal/experiment"
	"trmsweep/internal/study"
	"trmsweep/workflows"
)

// names lists what a shell may complete, out of the configuration; nothing if that cannot be read.
type names func(cfg fs.FS) []string

func experimentNames(cfg fs.FS) []string {
	list, _ := experiment.Experiments(cfg)
	return list
}

func profileNames(cfg fs.FS) []string {
	list, _ := experiment.Profiles(cfg)
	return list
}

// planNames are what plan and its like take: sweeps, phases, experiments.
func planNames(cfg fs.FS) []string {
	sweeps, _ := experiment.Sweeps(cfg)
	return slices.Concat(sweeps, experiment.Phases, experimentNames(cfg))
}

// startNames are what start takes.
func startNames(cfg fs.FS) []string { return slices.Concat(workflows.Types, experimentNames(cfg)) }

func fixed(list ...string) names { return func(fs.FS) []string { return list } }

// argumentNames are the words that a command's arguments are chosen from.
var argumentNames = map[string]names{
	"plan": planNames, "preflight": planNames, "report": planNames,
	"train": experimentNames, "import": experimentNames, "start": startNames,
	study.ActionPause: experimentNames, study.ActionResume: experimentNames, study.ActionSkip: experimentNames,
	study.ActionRetry: experimentNames, study.ActionStop: experimentNames, study.ActionPriority: experimentNames,
	"add-seeds": experimentNames, "extend": experimentNames,
}

// flagNames are the words that a flag's value is chosen from, whatever the command.
var flagNames = map[string]names{
	"profile":     profileNames,
	"experiments": experimentNames,
	"phases":      fixed(experiment.Phases...),
	"placement":   fixed(experiment.PlacementHost, experiment.PlacementChip),
	"at":          fixed("newest", "best"),
	"preflight":   fixed(study.PreflightFull, study.PreflightChecks, study.PreflightNone),
}

// addCompletion lets shells complete names: `trmsweep completion bash --help` says how to install it.
func addCompletion(cmd *cobra.Command, a *app) {
	complete := func(list names) cobra.CompletionFunc {
		return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			cfg, err := a.configs()
			if err != nil {
				return nil, cobra.ShellCompDirectiveError
			}
			return list(cfg), cobra.ShellCompDirectiveNoFileComp
		}
	}
	if list := argumentNames[cmd.Name()]; list != nil && cmd.ValidArgsFunction == nil {
		cmd.ValidArgsFunction = complete(list)
	}
	for flag, list := range flagNames {
		if cmd.Flags().Lookup(flag) != nil {
			_ = cmd.RegisterFlagCompletionFunc(flag, complete(list))
		}
	}
	if cmd.Name() == "run" {
		_ = cmd.RegisterFlagCompletionFunc("sweep", complete(fixed(sweepTypes...)))
	}
	for _, sub := range cmd.Commands() {
		addCompletion(sub, a)
	}
}
