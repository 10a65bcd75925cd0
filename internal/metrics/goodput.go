package metrics

import (
	"go.temporal.io/sdk/client"

	"trmsweep/internal/protocol"
)

// Names of the goodput metrics. They have the labels sweep, phase and experiment.
const (
	SlotSeconds  = "trmsweep_slot_seconds"  // also has the label bucket; all buckets add up to the slot's wall clock
	GoodputRatio = "trmsweep_goodput_ratio" // training / time in a slot
	LostSteps    = "trmsweep_lost_steps"
	Preemptions  = "trmsweep_preemptions"
)

var help = map[string]string{
	SlotSeconds:  "Wall clock of an experiment's slot so far, by goodput bucket.",
	GoodputRatio: "Share of the time in a slot that trained steps which count.",
	LostSteps:    "Optimizer steps computed again after a preemption or failure.",
	Preemptions:  "Attempts that ended because the host was taken away.",
}

// Goodput is the goodput of one experiment of a sweep so far.
type Goodput struct {
	Sweep, Phase, Experiment string
	Seconds                  protocol.Goodput
	Goodput                  float64
	LostSteps                int64
	Preemptions              int
}

// Publish sets the experiment's gauges. The handler of workflow.GetMetricsHandler makes it
// do nothing during a replay.
func (l Goodput) Publish(h client.MetricsHandler) {
	h = h.WithTags(map[string]string{"sweep": l.Sweep, "phase": l.Phase, "experiment": l.Experiment})
	for _, bucket := range protocol.Buckets {
		h.WithTags(map[string]string{"bucket": bucket}).Gauge(SlotSeconds).Update(l.Seconds[bucket])
	}
	h.Gauge(GoodputRatio).Update(l.Goodput)
	h.Gauge(LostSteps).Update(float64(l.LostSteps))
	h.Gauge(Preemptions).Update(float64(l.Preemptions))
}
