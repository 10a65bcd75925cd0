package aot

import (
	"fmt"
	"math"
	"math/bits"
)

// Estimate is the prediction for an experiment on one chip from the compiler's figures. Seconds and hours are lower
// bounds by the roofline model, that is, by the peak rates of the chip. Real programs are slower.
type Estimate struct {
	Topology       string            `json:"topology"`
	Libtpu         string            `json:"libtpu_sha256"`
	Rows           int               `json:"rows"`   // number of rows of a shard, which the chip computes at once
	Shards         int               `json:"shards"` // number of shards of a batch, which are computed one after another
	EvalRows       int               `json:"eval_rows"`
	Programs       []ProgramEstimate `json:"programs"`
	CompileSeconds float64           `json:"compile_seconds"` // sum over all programs, at the time when each was compiled
	CPUSeconds     float64           `json:"compile_cpu_seconds"`
	HBMNeeded      int64             `json:"hbm_needed_bytes"`
	HBMAvailable   int64             `json:"hbm_available_bytes"`
	Fits           bool              `json:"fits"`
	FLOPsPerStep   float64           `json:"flops_per_step"`
	BytesPerStep   float64           `json:"bytes_per_step"`
	FLOPSeconds    float64           `json:"flop_seconds_per_step"` // lower bound by floating-point operations
	ByteSeconds    float64           `json:"byte_seconds_per_step"` // lower bound by memory traffic
	StepSeconds    float64           `json:"seconds_per_step"`
	Bound          string            `json:"bound"` // the greater of the two bounds: BoundFLOP or BoundBytes
	Hours          float64           `json:"hours"` // of the whole run, including evaluations
}

// Values of Estimate.Bound.
const (
	BoundFLOP  = "flop"
	BoundBytes = "bytes"
)

// ProgramEstimate is the prediction for one program of an experiment.
type ProgramEstimate struct {
	Name string `json:"name"`
	Key  string `json:"key"`
	Compiled
	HBMNeeded   int64   `json:"hbm_needed_bytes"` // during an execution, including the rest of the training state
	FLOPSeconds float64 `json:"flop_seconds"`
	ByteSeconds float64 `json:"byte_seconds"`
}

// seconds returns the lower bound of the time of one execution.
func (p ProgramEstimate) seconds() float64 { return max(p.FLOPSeconds, p.ByteSeconds) }

// estimate combines the figures of a job's programs. If one program was refused, others may be missing.
func estimate(j Job, t Topology, library string, compiled map[string]Compiled) Estimate {
	e := Estimate{
		Topology:     t.Name,
		Libtpu:       library,
		Rows:         j.Spec.ShardRows(),
		Shards:       j.Shards(),
		EvalRows:     j.Spec.EvalBatchSize,
		HBMAvailable: t.Chip.HBM,
		Fits:         true,
	}
	var code int64
	for _, c := range compiled {
		code += c.Code
	}
	byName := map[string]ProgramEstimate{}
	for _, name := range order {
		c, ok := compiled[name]
		if !ok {
			continue
		}
		p := ProgramEstimate{
			Name: name, Key: j.Programs[name].Key(), Compiled: c,
			HBMNeeded:   c.Arguments + c.Outputs - c.Aliases + c.Temporary + code + elsewhere(j, name),
			FLOPSeconds: c.FLOPs / t.Chip.PeakFLOPs,
			ByteSeconds: c.BytesAccessed / t.Chip.Bandwidth,
		}
		if c.Refused != nil {
			p.HBMNeeded, e.HBMAvailable = c.Refused.Need, c.Refused.Have
		}
		byName[name] = p
		e.Programs = append(e.Programs, p)
		e.CompileSeconds += c.Seconds
		e.CPUSeconds += c.CPUSeconds
		e.HBMNeeded = max(e.HBMNeeded, p.HBMNeeded)
	}
	e.Fits = e.HBMNeeded <= e.HBMAvailable
	if !e.Fits {
		return e
	}
	for _, of := range []struct {
		program string
		times   int
	}{{gradients, e.Shards}, {addGradients, e.Shards - 1}, {apply, 1}} {
		p, n := byName[of.program], float64(of.times)
		e.FLOPsPerStep += n * p.FLOPs
		e.BytesPerStep += n * p.BytesAccessed
		e.FLOPSeconds += n * p.FLOPSeconds
		e.ByteSeconds += n * p.ByteSeconds
		e.StepSeconds += n * p.seconds()
	}
	e.Bound = BoundFLOP
	if e.ByteSeconds > e.FLOPSeconds {
		e.Bound = BoundBytes
	}
	e.Hours = (float64(j.Spec.TotalSteps())*e.StepSeconds + evaluations(j)*byName[evaluate].seconds()) / 3600
	return e
}

// elsewhere returns the bytes of the training state, and of the gradients that wait to be added, that lie on the chip and are not arguments
// of the program. Of every carry there are two: a step writes into the memory of the carry before the last.
func elsewhere(j Job, name string) int64 {
	s := j.Spec
	weights := 4 * s.Params()
	trained := 3 * weights // the weights and both moments
	if s.EMA {
		trained += weights
	}
	all := s.CheckpointBytes()
	s.GlobalBatchSize = 0
	carry := all - s.CheckpointBytes()
	shards := j.Shards()
	sums := int64(bits.Len(uint(shards)) - 1) // sums of gradients that wait while the last shard is computed
	switch name {
	case gradients: // both carries of its shard are arguments
		return trained - weights + 2*(carry-carry/int64(shards)) + sums*weights
	case addGradients: // one of the sums is an argument
		return all + carry + (sums-1)*weights
	case apply:
		return all + carry - trained
	default: // an evaluation needs one copy of the weights
		return all + carry - weights
	}
}

// evaluations returns how often the program of the evaluation is executed in the whole run.
func evaluations(j Job) float64 {
	batches := func(n int) float64 {
		return math.Ceil(float64(j.Spec.EvaluatedPuzzles(n)) / float64(j.Spec.EvalBatchSize))
	}
	all := float64(j.Spec.Iterations())*batches(j.Spec.EvalPuzzles) + batches(j.Spec.FinalEvalPuzzles)
	return all * float64(j.Spec.HaltMaxSteps)
}

// Problem says why an experiment does not fit; it is empty if the experiment fits.
func (e Estimate) Problem() string {
	if e.Fits {
		return ""
	}
	for _, p := range e.Programs {
		switch {
		case p.Refused != nil:
			return fmt.Sprintf("the temporary values of its program %q at %d rows need %s of HBM, the chip has %s",
				p.Name, e.rows(p.Name), GiB(e.HBMNeeded), GiB(e.HBMAvailable))
		case p.HBMNeeded > e.HBMAvailable:
			return fmt.Sprintf("with its program %q at %d rows it needs %s of HBM, the chip has %s",
				p.Name, e.rows(p.Name), GiB(e.HBMNeeded), GiB(e.HBMAvailable))
		}
	}
	return ""
}

// rows returns the number of rows that a program computes.
func (e Estimate) rows(program string) int {
	if program == evaluate {
		return e.EvalRows
	}
	return e.Rows
}

// GiB formats a number of bytes in GiB, the unit of the compiler's messages.
func GiB(bytes int64) string { return fmt.Sprintf("%.2f GiB", float64(bytes)/(1<<30)) }
