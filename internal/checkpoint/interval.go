package checkpoint

import (
	"fmt"
	"math"
	"time"
)

// DefaultPrior is the mean time between preemptions that is assumed before any
// was seen. Spot capacity is commonly taken back within hours to a day.
const DefaultPrior = 6 * time.Hour

// MinInterval is the shortest time between commits: object storage takes about
// one write per second to one name, and HEAD is one name.
const MinInterval = 2 * time.Second

// IntervalInput is what the choice of the checkpoint interval depends on.
type IntervalInput struct {
	FixedSteps     int64         // > 0: the spec fixes it
	StepSeconds    float64       // measured, median
	StallSeconds   float64       // measured: what one save costs the step loop
	PersistSeconds float64       // measured: what one save takes beside it
	Preemptions    int64         // observed
	Observed       time.Duration // time over which they were observed
}

// IntervalChoice is the interval in steps and why.
type IntervalChoice struct {
	Steps   int64         `json:"steps"` // >= 1
	Seconds float64       `json:"seconds"`
	MTBP    time.Duration `json:"mtbp"` // mean time between preemptions that was used
	Reason  string        `json:"reason"`
}

// ChooseInterval balances the cost of saving against the work that a preemption
// without notice repeats: Young's first-order optimum sqrt(2 C M) with Daly's
// correction (J. Young, CACM 17(9) 1974; J. Daly, FGCS 22(3) 2006), where C is
// the stall per save and M the mean time between preemptions. M is estimated
// from the observations and one pseudo-observation of the prior. With one save
// in flight the interval is never below the time that a save takes.
func ChooseInterval(in IntervalInput) IntervalChoice {
	in.Observed = max(in.Observed, 0) // the clock of another host may have been ahead
	m := (in.Observed + DefaultPrior).Seconds() / float64(in.Preemptions+1)
	c := IntervalChoice{MTBP: time.Duration(m * float64(time.Second))}
	if in.FixedSteps > 0 {
		c.Steps, c.Seconds = in.FixedSteps, float64(in.FixedSteps)*in.StepSeconds
		c.Reason = fmt.Sprintf("every %d steps: fixed by checkpoint_every_steps", c.Steps)
		return c
	}
	step := max(in.StepSeconds, 1e-6)
	cost := max(in.StallSeconds, 1e-3)
	seconds := m
	if cost < 2*m {
		x := cost / (2 * m)
		seconds = math.Sqrt(2*cost*m)*(1+math.Sqrt(x)/3+x/9) - cost
	}
	bound := ""
	if least := max(in.PersistSeconds, MinInterval.Seconds()); seconds < least {
		seconds = least
		bound = fmt.Sprintf(", raised to %.3gs, the time that one save needs", least)
	}
	c.Steps = max(1, int64(math.Ceil(seconds/step-1e-9)))
	c.Seconds = float64(c.Steps) * step
	c.Reason = fmt.Sprintf("every %d steps (%.3gs): Young/Daly for a stall of %.3gs per save and %.3gh between preemptions "+
		"(%d in %s, prior %s)%s; %.2g%% of the time goes to saving",
		c.Steps, c.Seconds, in.StallSeconds, m/3600,
		in.Preemptions, in.Observed.Round(time.Second), DefaultPrior, bound, 100*in.StallSeconds/c.Seconds)
	return c
}
