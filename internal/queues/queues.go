// Package queues holds the names that clients, workers and workflows must agree
// on: task queues, workflow types and search attributes. It imports nothing of ours.
package queues

// Task queues.
const (
	Workflows = "trmsweep"       // workflow tasks: what users type
	Hosts     = "trmsweep-hosts" // training: one slot per host by default
	Light     = "trmsweep-light" // plan, dataset, report: never waits for a chip
)

// WorkflowTypes are the types that users start on the task queue Workflows. The constants
// of package workflows name them too: a client that lists types must not import workflows,
// and workflow code reads better with a constant. A test of cmd/trmsweep keeps both equal.
var WorkflowTypes = []string{"AllAblations", "TNSweep", "BatchSweep", "Experiment", "DatasetGeneration", "Preflight"}

// Search attributes of sweeps and experiments.
const (
	AttrSweep       = "TrmSweep"             // Keyword
	AttrPhase       = "TrmPhase"             // Keyword
	AttrExperiment  = "TrmExperiment"        // Keyword
	AttrStatus      = "TrmStatus"            // Keyword
	AttrHoldup      = "TrmHoldup"            // Keyword: what keeps an experiment from going on, a kind of protocol.Holdup; empty: nothing
	AttrStep        = "TrmStep"              // Int
	AttrPreemptions = "TrmPreemptions"       // Int
	AttrBest        = "TrmBestExactAccuracy" // Double, fraction; of finished runs, over all puzzles of the final evaluation
	AttrGoodput     = "TrmGoodput"           // Double, training seconds per second of the slot
)

// SearchAttributes are the types under which a namespace must know them:
// devstack and docker-compose.yml register the same.
var SearchAttributes = map[string]string{
	AttrSweep: "Keyword", AttrPhase: "Keyword", AttrExperiment: "Keyword", AttrStatus: "Keyword", AttrHoldup: "Keyword",
	AttrStep: "Int", AttrPreemptions: "Int", AttrBest: "Double", AttrGoodput: "Double",
}
