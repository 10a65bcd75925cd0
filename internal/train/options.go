// Package train is one rank's training process: batches, steps, evaluation,
// checkpoints, metrics, and the result at the end. It knows no workflow engine
// and no cloud; what its parent must hear goes through plain functions.
//
// What goes in is a specification, a bucket and a name of the run (Options). What comes
// out is a run in the bucket (internal/layout) and a protocol.AttemptResult. One attempt
// (Run in run.go):
//
//	prepare   peek at the newest manifest; compare spec and dataset with the run's;
//	  |       a complete run ends here, with its old result
//	  |       open the dataset, acquire the fence; beside it and what follows, open the
//	  |       backend, and compile or load the programs (programs.go)
//	restore   read the newest whole checkpoint, or make the start values of the seed;
//	  |       wait for the programs, load the state
//	loop      per step: evaluate if due -> batch (feed.go) -> model step -> batch chain and log line
//	  |       -> save beside training if due (save.go); the results of saves are polled here
//	finish    hash the state; for the last step evaluate on all test puzzles and write result.json
//
// How an attempt ends:
//
//	last step done       -> result.json            -> nil
//	Options.MaxSteps     -> checkpoint             -> nil
//	notice               -> checkpoint             -> ErrPreempted
//	fence lost           -> nothing more is stored -> checkpoint.ErrFenced
//	loss not finite      -> nothing more is stored -> ErrDiverged
//	storage away for longer than Options.Patience  -> the storage's error
//
// An attempt that is killed at any point leaves a run that the next one resumes bit for
// bit: the state, the counters and the log are committed together.
//
// Other entries: Evaluate (evalrun.go) and Verify read a run without acquiring it, Import
// begins one from given weights, Trial trains a few steps, restores and compares.
package train

import (
	"errors"
	"log/slog"
	"time"

	"trmsweep/internal/backend"
	"trmsweep/internal/blob"
	"trmsweep/internal/checkpoint"
	"trmsweep/internal/dataset"
	"trmsweep/internal/experiment"
	"trmsweep/internal/protocol"
)

var (
	// ErrPreempted: told to stop; everything up to the current step is committed.
	ErrPreempted = errors.New("preempted")
	// ErrDiverged: the loss became NaN or infinite. Final.
	ErrDiverged = errors.New("loss is not finite")
	// ErrMismatch: the run in the store was made from another spec or dataset. Final.
	ErrMismatch = errors.New("run does not match")
	// ErrOtherBackend: what the run was trained on is not on this host.
	ErrOtherBackend = errors.New("this host lacks the run's backend")
	// ErrHostMemory: this host has not the memory for one copy of the state.
	ErrHostMemory = errors.New("out of memory")
)

// IsUserError: the spec, the command line or the data source is at fault, so
// that another attempt would fail in the same way.
func IsUserError(err error) bool {
	var faults experiment.Faults
	return errors.As(err, &faults) || errors.Is(err, dataset.ErrInput) || errors.Is(err, backend.ErrUnavailable)
}

// FaultOf says whether a failure is the host's: another host may have the backend, the memory or the room that is
// not here. A named backend that is missing is the user's fault where a person gave the name, and the host's where a worker did.
func FaultOf(err error) protocol.Fault {
	switch {
	case errors.Is(err, ErrHostMemory), errors.Is(err, ErrOtherBackend),
		errors.Is(err, backend.ErrTooLarge), errors.Is(err, backend.ErrUnavailable), errors.Is(err, backend.ErrNoDevice):
		return protocol.FaultUnfit
	case errors.Is(err, backend.ErrOpen), errors.Is(err, backend.ErrMemory):
		return protocol.FaultHost
	}
	return protocol.FaultOf(err)
}

// Options say what to train, where, and whom to tell.
type Options struct {
	Spec   experiment.Spec
	Bucket blob.Bucket // the store; the run lives below runs/<Run>/
	Run    string      // empty = Spec.RunName()
	Owner  checkpoint.Owner
	// SeenTerm is the run's fence term when its owner was found to be dead, or nobody's: if another has taken the run since, the
	// attempt leaves it to that and ends with checkpoint.ErrFenced. nil: it takes the run in any case.
	SeenTerm *int64

	// CacheDir holds datasets fetched from or built for the store; DataDir, if
	// set, is a dataset folder to use as it is.
	CacheDir string
	DataDir  string
	Opener   dataset.Opener

	Backend string // see internal/backend
	Threads int    // 0 = all cores
	// DevicePatience is how long a device that another process holds is waited for; 0 = 3 minutes.
	DevicePatience time.Duration

	MaxSteps int64         // stop, with a checkpoint, once this step is done; 0 = the whole run
	Patience time.Duration // how long storage may be away before the attempt fails; 0 = 10 minutes
	Grace    time.Duration // age at which objects that no manifest names are collected; 0 = 1 hour
	// CheckEvery is how often the attempt asks whether the run is still its own; 0 = 30 seconds.
	CheckEvery time.Duration
	Force      bool // evaluate and write the result again although it exists

	sameBatch bool // every step gets the first step's rows: what is learned shows at once

	Notice <-chan string        // a reason to save and stop at the next step boundary
	Events func(protocol.Event) // called from several goroutines, never concurrently; may be nil
	Now    func() time.Time     // nil = time.Now
	Start  time.Time            // when the process started; zero = Now()
	Logger *slog.Logger         // nil = slog.Default()
}

func (o *Options) defaults() {
	if o.Run == "" {
		o.Run = o.Spec.RunName()
	}
	if o.Patience == 0 {
		o.Patience = 10 * time.Minute
	}
	if o.CheckEvery == 0 {
		o.CheckEvery = 30 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Start.IsZero() {
		o.Start = o.Now()
	}
	if o.Events == nil {
		o.Events = func(protocol.Event) {}
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
}
