// Package queues holds the names that clients, workers and workflows must agree
// on: task queues, workflow types and search attributes. It imports nothing of ours.
package queues

import (
	"fmt"
	"strings"
)

// Task queues.
const (
	Workflows = "trmsweep"       // workflow tasks: what users type
	Hosts     = "trmsweep-hosts" // training: one slot per host by default
	Light     = "trmsweep-light" // plan, dataset, report: never waits for a chip
)

// WorkerName is the name of the worker of a machine with a state folder (an absolute path): it stays the same when the
// worker is started again, so that an experiment knows a host again whose disk is full.
func WorkerName(hostname, stateDir string) string { return hostname + ":" + stateDir }

// OfWorker is the task queue that only one worker listens on: for attempts that shall be on that host.
func OfWorker(name string) string { return Hosts + "@" + name }

// Identity is how the worker of a process calls itself towards the server.
func Identity(pid int, worker string) string { return fmt.Sprintf("%d@%s", pid, worker) }

// WorkerOf is the name of the worker in an identity, empty if it is not one that Identity made.
func WorkerOf(identity string) string {
	_, name, _ := strings.Cut(identity, "@")
	if host, dir, ok := strings.Cut(name, ":"); !ok || host == "" || dir == "" {
		return ""
	}
	return name
}

// Control is the name of the signal and of the update that command sweeps and experiments.
const Control = "control"

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
