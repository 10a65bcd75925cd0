// Package protocol holds the words that the processes of a study share:
//
//	exit.go     exit codes of the training process
//	event.go    lines that it prints while it runs, and the last one
//	holdup.go   what keeps a run from going on
//	fault.go    whether a failure is the host's
//	goodput.go  buckets that its wall clock is divided into
//	result.go   result.json, an evaluation, what computed a run
//	spec.go     spec.json of a run
//
// A training process runs by itself or as the child of a worker:
//
//	worker (activities)                        training process (cmd/trmsweep train, internal/train)
//	  spec as JSON      -> standard input
//	  SIGTERM           -> save at the next step boundary and end with ExitPreempted
//	  Event, one a line <- standard output, the last of type EventResult or EventError
//	  Exit...           <- exit code
//
// The package computes nothing: whoever reads a line or a result needs neither the
// model nor the plots nor a workflow engine (internal/archtest holds that).
package protocol
