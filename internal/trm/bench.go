package trm

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"syscall"
	"time"
)

// BenchResult is what BenchStep measured. A step is forward, backward, optimizers and EMA, as in training.
type BenchResult struct {
	SecondsPerStep    float64 `json:"seconds_per_step"` // median
	SecondsMin        float64 `json:"seconds_min"`
	CPUSecondsPerStep float64 `json:"cpu_seconds_per_step"` // of all threads, user and system
	AllocsPerStep     float64 `json:"allocs_per_step"`
	LossFirst         float64 `json:"loss_first"`
	LossLast          float64 `json:"loss_last"`
}

// ErrNotFinite is the error of a step whose loss, gradients or carry are not numbers. Such a step trains nothing.
var ErrNotFinite = errors.New("not finite")

// BenchStep loads fresh weights and times steps on one synthetic batch, after a step that compiles. It fails with ErrNotFinite at a step
// that is not finite, whose time would say nothing.
func (m *Model) BenchStep(steps int) (BenchResult, error) {
	if steps < 1 {
		return BenchResult{}, errors.New("bench: at least one step is needed")
	}
	if err := m.Load(m.InitState(1)); err != nil {
		return BenchResult{}, err
	}
	c := m.cfg
	in := StepInput{Inputs: make([]uint8, c.BatchSize*c.SeqLen), Labels: make([]uint8, c.BatchSize*c.SeqLen),
		PuzzleIDs: make([]int32, c.BatchSize), LR: 1e-3, PuzzleEmbLR: 1e-3}
	for i := range in.Inputs {
		h := splitmix(uint64(i))
		in.Inputs[i], in.Labels[i] = uint8(1+h%uint64(c.VocabSize-1)), uint8(1+(h>>8)%uint64(c.VocabSize-1))
	}
	var r BenchResult
	seconds := make([]float64, 0, steps)
	var before, after runtime.MemStats
	var cpu float64
	for s := range steps + 1 {
		if s == 1 {
			runtime.ReadMemStats(&before)
			cpu = CPUSeconds()
		}
		in.Step = int64(s + 1)
		begin := time.Now()
		res, err := m.Step(in)
		if err != nil {
			return r, err
		}
		loss := res.Loss / float64(c.BatchSize)
		if !res.Finite {
			return r, fmt.Errorf("bench: step %d is %w (loss %v, before it %v): this backend computes something else than the model",
				s+1, ErrNotFinite, loss, r.LossLast)
		}
		if s == 0 {
			r.LossFirst = loss
		} else {
			seconds = append(seconds, time.Since(begin).Seconds())
		}
		r.LossLast = loss
	}
	r.CPUSecondsPerStep = (CPUSeconds() - cpu) / float64(steps)
	runtime.ReadMemStats(&after)
	slices.Sort(seconds)
	r.SecondsPerStep, r.SecondsMin = seconds[len(seconds)/2], seconds[0]
	r.AllocsPerStep = float64(after.Mallocs-before.Mallocs) / float64(steps)
	return r, nil
}

// CPUSeconds is the processor time that the process has used.
func CPUSeconds() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}
