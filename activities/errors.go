package activities

// Types of application errors: how a workflow tells what to do next.
const (
	ErrPreempted   = "Preempted"      // told to stop or killed: another attempt, as long as steps are committed
	ErrFailed      = "TrainingFailed" // worth a few more attempts
	ErrConfig      = "InvalidConfig"  // the user's to correct: final
	ErrFenced      = "Fenced"         // another attempt owns the run
	ErrFinal       = "FinalFailure"   // diverged, out of memory, every checkpoint bad: final
	ErrBusy        = "DeviceBusy"     // another process holds the device: worth another attempt, and no failure
	ErrUnavailable = "NotAvailable"   // this worker was built or started without the part: final
)
