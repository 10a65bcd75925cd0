package train

import (
	"encoding/json"
	"math"
	"strconv"
	"time"

	"trmsweep/internal/tfevents"
	"trmsweep/internal/trm"
)

// metricsLog collects what was logged since the last commit. The pieces are
// committed with the checkpoint, so that the log of a resumed run holds every
// step once.
type metricsLog struct {
	jsonl  []byte
	events []byte
}

// flush hands over what was collected and starts anew.
func (m *metricsLog) flush() (jsonl, events []byte) {
	jsonl, events = m.jsonl, m.events
	m.jsonl, m.events = nil, nil
	return jsonl, events
}

// step logs one training step: the mean loss, and the other means if they were read (mt is not nil).
func (m *metricsLog) step(step int64, loss float64, mt *trm.Metrics, lr float64, wall time.Time) {
	m.jsonl = append(m.jsonl, `{"step":`...)
	m.jsonl = strconv.AppendInt(m.jsonl, step, 10)
	m.jsonl = append(m.jsonl, `,"loss":`...)
	m.jsonl = appendFloat(m.jsonl, loss)
	if mt == nil {
		m.jsonl = append(m.jsonl, "}\n"...)
		return
	}
	scalars := []tfevents.Scalar{
		{Tag: "train/loss", Value: loss},
		{Tag: "train/lm_loss", Value: mt.LMLoss},
		{Tag: "train/q_halt_loss", Value: mt.QHaltLoss},
		{Tag: "train/count", Value: mt.Count},
		{Tag: "train/lr", Value: lr},
	}
	if mt.Count > 0 { // the reference's metrics: means over the rows that halted in this step
		scalars = append(scalars,
			tfevents.Scalar{Tag: "train/accuracy", Value: mt.Accuracy},
			tfevents.Scalar{Tag: "train/exact_accuracy", Value: mt.ExactAccuracy},
			tfevents.Scalar{Tag: "train/q_halt_accuracy", Value: mt.QHaltAccuracy},
			tfevents.Scalar{Tag: "train/steps", Value: mt.Steps})
	}
	for _, s := range scalars[1:] {
		m.jsonl = append(m.jsonl, ',', '"')
		m.jsonl = append(m.jsonl, s.Tag[len("train/"):]...)
		m.jsonl = append(m.jsonl, '"', ':')
		m.jsonl = appendFloat(m.jsonl, s.Value)
	}
	m.jsonl = append(m.jsonl, "}\n"...)
	m.scalars(step, wall, scalars...)
}

// eval logs one evaluation.
func (m *metricsLog) eval(step int64, e any, wall time.Time, scalars ...tfevents.Scalar) {
	line, err := json.Marshal(struct {
		Step int64 `json:"step"`
		Eval any   `json:"eval"`
	}{step, e})
	if err == nil {
		m.jsonl = append(append(m.jsonl, line...), '\n')
	}
	m.scalars(step, wall, scalars...)
}

func (m *metricsLog) scalars(step int64, wall time.Time, scalars ...tfevents.Scalar) {
	t := float64(wall.UnixNano()) / 1e9
	if len(m.events) == 0 {
		m.events = tfevents.AppendHeader(m.events, t)
	}
	m.events = tfevents.AppendScalars(m.events, t, step, scalars...)
}

// appendFloat writes a number that JSON can hold: the shortest that reads back the same, or null.
func appendFloat(b []byte, v float64) []byte {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return append(b, "null"...)
	}
	return strconv.AppendFloat(b, v, 'g', -1, 64)
}
