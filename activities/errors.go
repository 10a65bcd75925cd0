package activities

import "go.temporal.io/sdk/temporal"

// Types of application errors: how a workflow tells what to do next.
const (
	ErrPreempted   = "Preempted"      // told to stop or killed: another attempt, as long as steps are committed
	ErrFailed      = "TrainingFailed" // worth a few more attempts
	ErrConfig      = "InvalidConfig"  // the user's to correct: final
	ErrFenced      = "Fenced"         // another attempt owns the run
	ErrShared      = "RunIsShared"    // another experiment's attempt trains the run: it has not begun
	ErrFinal       = "FinalFailure"   // diverged, every checkpoint bad: final
	ErrBusy        = "DeviceBusy"     // another process holds the device: worth another attempt, and no failure
	ErrHost        = "HostTrouble"    // this host's own, and may pass: its disk is full
	ErrUnfit       = "HostUnfit"      // this host lacks what the run needs: memory, a backend
	ErrNoSlot      = "NoSlot"         // the host has no slot for it: it has not begun
	ErrUnavailable = "NotAvailable"   // this worker was built or started without the part: final
)

// errCrowded sends a task of the shared queue back that came when another attempt had taken the last slot.
func errCrowded() error {
	return temporal.NewApplicationError("another attempt has just taken the last slot of this host", ErrNoSlot)
}
