package workflows

// Names of queries, signals and updates.
const (
	QueryProgress  = "progress"
	SignalControl  = "control"  // study.Command, from a sweep to its phases and experiments, or from users of the Web UI
	SignalProgress = "progress" // study.Progress, from an attempt to its experiment
	SignalRows     = "rows"     // []study.ExperimentResult, from experiments and phases to their sweep
	UpdateControl  = "control"  // study.Command, from users to sweeps and experiments
)
