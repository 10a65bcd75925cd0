package protocol

// Exit codes of the training process: how it tells its parent what to do next.
const (
	ExitDone      = 0 // finished
	ExitFailed    = 1 // worth another attempt
	ExitUsage     = 2 // the spec or the command line is wrong: final
	ExitPreempted = 3 // it was told to stop, saved and stopped
	ExitFenced    = 4 // another attempt owns the run now: final for this attempt
	ExitFinal     = 5 // NaN, out of memory, every checkpoint bad: final
	ExitBusy      = 6 // another process holds the device: nothing is wrong with the run, another attempt may find it free
)

// ExitBySignal is what os.ProcessState.ExitCode says of a process that a signal ended.
const ExitBySignal = -1
