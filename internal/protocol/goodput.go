package protocol

import "math"

// Buckets of the wall clock of an experiment's slot: every second from asking for the
// slot to the end of the last attempt is in exactly one of them. A training process
// counts BucketStarting to BucketEvaluating itself; the sweep adds BucketQueued and
// BucketLost, which no process sees. What goes on beside the dataset and the checkpoint,
// namely opening the backend and preparing its programs, is in their buckets; only what is
// then still waited for is BucketCompiling.
const (
	BucketQueued     = "queued"     // an attempt waits for a free slot, or for its next try
	BucketStarting   = "starting"   // process start, dataset, acquiring the run
	BucketCompiling  = "compiling"  // waiting for the backend to open and for the programs to be compiled or loaded
	BucketRestoring  = "restoring"  // reading and loading a checkpoint, or making the start values
	BucketTraining   = "training"   // optimizer steps; the only bucket that is goodput
	BucketSaving     = "saving"     // the step loop waits for a save
	BucketEvaluating = "evaluating" // held-out puzzles
	BucketLost       = "lost"       // steps that no checkpoint holds, and the time between a death and its discovery
)

// Buckets lists all of them in the order in which a run goes through them.
var Buckets = []string{
	BucketQueued, BucketStarting, BucketCompiling, BucketRestoring, BucketTraining, BucketSaving, BucketEvaluating, BucketLost,
}

// Goodput is the seconds in each bucket.
type Goodput map[string]float64

// Add adds the seconds of o; numbers that are not finite are left out.
func (g Goodput) Add(o Goodput) {
	for k, s := range o {
		if !math.IsNaN(s) && !math.IsInf(s, 0) {
			g[k] += s
		}
	}
}

// Total is the seconds of all buckets, always added in the same order.
func (g Goodput) Total() float64 {
	sum := 0.0
	for _, bucket := range Buckets {
		sum += g[bucket]
	}
	return sum
}

// Share is the part of wall seconds that trained steps which count. Waiting for a
// slot is not in it. A wall clock without a second in a slot has the share 0.
func (g Goodput) Share(wall float64) float64 {
	inSlot := wall - g[BucketQueued]
	if inSlot <= 0 {
		return 0
	}
	return g[BucketTraining] / inSlot
}

// Accounting says where the wall clock of an experiment's slot went. The seconds of
// its buckets add up to the wall clock.
type Accounting struct {
	WallSeconds float64 `json:"wall_seconds"`
	Goodput     Goodput `json:"ledger"`               // seconds in each bucket
	FromStep    int64   `json:"from_step,omitempty"`  // committed before this accounting began
	Preemptions int     `json:"preemptions"`          // attempts that ended because the host was taken away
	LostSteps   int64   `json:"lost_steps,omitempty"` // computed again
}

// Add sums accountings; all buckets are there afterwards.
func (a *Accounting) Add(o Accounting) {
	if a.Goodput == nil {
		a.Goodput = Goodput{}
	}
	for _, k := range Buckets {
		a.Goodput[k] += 0
	}
	a.Goodput.Add(o.Goodput)
	a.WallSeconds += o.WallSeconds
	a.Preemptions += o.Preemptions
	a.LostSteps += o.LostSteps
}

// InSlot is the seconds from the start of the first attempt to the end of the last, without the pauses between them.
func (a Accounting) InSlot() float64 { return max(0, a.WallSeconds-a.Goodput[BucketQueued]) }

// Share is the part of the time in a slot that trained steps which count.
func (a Accounting) Share() float64 { return a.Goodput.Share(a.Goodput.Total()) }

// Gap is how far the sum of the buckets is from the wall clock, as a fraction of it.
func (a Accounting) Gap() float64 {
	if a.WallSeconds <= 0 {
		return 0
	}
	return math.Abs(a.Goodput.Total()-a.WallSeconds) / a.WallSeconds
}
