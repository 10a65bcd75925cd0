package workflows

import "trmsweep/internal/queues"

import "go.temporal.io/sdk/workflow"

// Names of queries, signals and updates.
const (
	QueryProgress  = "progress"
	SignalControl  = queues.Control // study.Command, from a sweep to its phases and experiments, or from users of the Web UI
	SignalProgress = "progress"     // study.Progress, from an attempt to its experiment
	SignalStanding = "standing"     // study.Standing, from experiments and phases to their sweep
	UpdateControl  = queues.Control // study.Command, from users to sweeps and experiments
)

// What the Web UI says of them.
var (
	aboutControl = workflow.SignalChannelOptions{
		Description: "A command, for example {\"action\":\"pause\"}; the update of this name also answers whom it reached"}
	aboutAttempts  = workflow.SignalChannelOptions{Description: "Sent by training attempts that begin, are evaluated or have saved"}
	aboutStandings = workflow.SignalChannelOptions{Description: "Sent by experiments and phases of this sweep that begin, are paused or end"}
)

// controlText describes the update control.
const controlText = "Pause, resume, skip, retry, stop, priority; of sweeps also add_seeds and extend: for example " +
	"{\"action\":\"retry\",\"experiments\":[\"e1_1_baseline\"]}"

// answerProgress registers the query that everybody answers.
func answerProgress(ctx workflow.Context, answer any) error {
	options := workflow.QueryHandlerOptions{Description: "Where it stands, as JSON"}
	return workflow.SetQueryHandlerWithOptions(ctx, QueryProgress, answer, options)
}
