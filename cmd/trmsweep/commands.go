package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"trmsweep/internal/version"
)

// addCommands lists every subcommand, in the order of a study.
func addCommands(root *cobra.Command, a *app) {
	root.AddCommand(
		newPlanCmd(a),
		newBackendCmd(a),
		newPreflightCmd(a),
		newWorkerCmd(a),
		newStartCmd(a),
		newStatusCmd(a),
		newDatasetCmd(a),
		newSudokuCmd(a),
		newTrainCmd(a),
		newVerifyCmd(a),
		newEvalCmd(a),
		newRunCmd(a),
		newUpCmd(a),
		newDownCmd(a),
		newForgetCmd(a),
		newReportCmd(a),
		newCompareCmd(a),
		newExportCmd(a),
		newImportCmd(a),
		newBenchCmd(a),
		newVersionCmd(a),
		newProbeCmd(a),
		newTrialCmd(a),
		newAOTCmd(),
	)
	root.AddCommand(newControlCmds(a)...)
}

// newVersionCmd prints what --version does, as many programs have it.
func newVersionCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of the code",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintf(a.stdout, "trmsweep version %s\n", version.Code())
			return err
		},
	}
}
