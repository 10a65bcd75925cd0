package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"syscall"

	"github.com/spf13/cobra"

	"trmsweep/internal/backend"
	"trmsweep/internal/cpu/kernel"
	"trmsweep/internal/experiment"
	"trmsweep/internal/trm"
)

// benchLine is the one line of JSON that others script against.
type benchLine struct {
	Hidden  int    `json:"hidden"`
	Layers  int    `json:"layers"`
	T       int    `json:"T"`
	N       int    `json:"n"`
	Batch   int    `json:"batch"`
	Shards  int    `json:"shards"`
	Mixer   string `json:"mixer"`
	DType   string `json:"dtype"`
	Backend string `json:"backend"`
	Kernels string `json:"kernels,omitempty"` // instruction set of backend cpu
	Threads int    `json:"threads"`
	Steps   int    `json:"steps"`
	Params  int64  `json:"params"`
	trm.BenchResult
	GFLOPs    float64 `json:"gflops"` // GFLOP per second
	PeakRSSMB float64 `json:"peak_rss_mb"`
}

func newBenchCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "bench", Short: "Measure this machine"}
	var l benchLine
	var asJSON bool
	step := &cobra.Command{
		Use: "step", Short: "Time one training step", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			diesAtOnce()
			err := errors.Join(between(cmd, 1, 1024, "layers", "T", "n"), between(cmd, 1, 1<<20, "hidden"),
				between(cmd, 1, math.MaxInt32, "batch", "shards"))
			if err != nil {
				return err
			}
			return benchStep(a, l, asJSON)
		},
	}
	f := step.Flags()
	f.IntVar(&l.Hidden, "hidden", 64, "hidden size")
	f.IntVar(&l.Layers, "layers", 2, "layers of the block stack")
	f.IntVar(&l.T, "T", 2, "H cycles")
	f.IntVar(&l.N, "n", 2, "L cycles")
	f.IntVar(&l.Batch, "batch", 64, "rows per step")
	f.IntVar(&l.Shards, "shards", 1, "equal parts that the batch is cut into (gradient_shards)")
	f.StringVar(&l.Mixer, "mixer", "mlp", "mlp or attention")
	f.StringVar(&l.DType, "dtype", "float32", "float32 or bfloat16")
	f.StringVar(&l.Backend, "backend", "auto", "auto, cpu, go or xla:...")
	f.IntVar(&l.Threads, "threads", 0, "threads, 0 = all")
	f.IntVar(&l.Steps, "steps", 3, "steps to time, after one that compiles")
	f.BoolVar(&asJSON, "json", false, "print one JSON line")
	cmd.AddCommand(step, newBenchAllCmd(a))
	return cmd
}

// benchStepsFault refuses numbers of steps that measure nothing or never end.
func benchStepsFault(n int) error {
	if n < 1 || n > 1_000_000 {
		return usagef("--steps %d: want 1 to 1000000", n)
	}
	return nil
}

func benchStep(a *app, l benchLine, asJSON bool) error {
	if l.Mixer != "mlp" && l.Mixer != "attention" {
		return usagef("--mixer %q is not mlp or attention", l.Mixer)
	}
	if err := errors.Join(benchStepsFault(l.Steps), threadsFault(l.Threads)); err != nil {
		return err
	}
	spec := experiment.Spec{HCycles: l.T, LCycles: l.N, LLayers: l.Layers, HiddenSize: l.Hidden, NumHeads: max(1, l.Hidden/64), Expansion: 4,
		MLPT: l.Mixer == "mlp", PosEncodings: "none", PuzzleEmbNDim: l.Hidden, PuzzleEmbLen: 16, HaltMaxSteps: 16, NoACTContinue: true,
		ForwardDType: l.DType, LossType: "stablemax_cross_entropy", GlobalBatchSize: l.Batch, GradientShards: l.Shards,
		WeightDecay: 1, Beta1: 0.9, Beta2: 0.95, PuzzleEmbWeightDecay: 1, EMA: true, EMARate: 0.999}
	if !spec.MLPT {
		spec.PosEncodings = "rope"
	}
	cfg := trm.ConfigFromSpec(spec, 1)
	if err := cfg.Validate(); err != nil {
		return usageError{err}
	}
	spec.Name = "this model"
	if err := checkMemory(context.Background(), spec); err != nil {
		return usageError{err}
	}
	be, info, err := backend.New(l.Backend, l.Threads)
	if err != nil {
		return usageError{err}
	}
	defer be.Finalize()
	m, err := trm.New(be, cfg)
	if err != nil {
		return err
	}
	defer m.Close()
	if l.BenchResult, err = m.BenchStep(l.Steps); err != nil {
		return err
	}
	l.Backend, l.Params = info.Name, spec.Params()
	if be.Name() == "cpu" {
		l.Kernels = kernel.Current().String()
	}
	l.GFLOPs = spec.FLOPsPerStep() / l.SecondsPerStep / 1e9
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err == nil {
		l.PeakRSSMB = float64(usage.Maxrss) / 1024
	}
	if asJSON {
		return json.NewEncoder(a.stdout).Encode(l)
	}
	_, err = fmt.Fprintf(a.stdout, "%.3f s/step (best %.3f), %.1f GFLOP/s, %.0f MB, loss %.4f -> %.4f on %s\n",
		l.SecondsPerStep, l.SecondsMin, l.GFLOPs, l.PeakRSSMB, l.LossFirst, l.LossLast, l.Backend)
	return err
}
