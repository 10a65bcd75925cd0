package main

import "github.com/spf13/cobra"

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
