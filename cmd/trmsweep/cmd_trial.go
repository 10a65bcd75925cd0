package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"trmsweep/internal/blob"
	"trmsweep/internal/blob/open"
	"trmsweep/internal/dataset"
	"trmsweep/internal/experiment"
	"trmsweep/internal/layout"
	"trmsweep/internal/preflight"
	"trmsweep/internal/protocol"
	"trmsweep/internal/train"
)

// newTrialCmd trains one spec for ten steps. Preflight runs it as a process of its
// own, which may run out of memory or crash alone.
func newTrialCmd(a *app) *cobra.Command {
	var f trainFlags
	cmd := &cobra.Command{
		Use: "trial EXPERIMENT", Short: "Train an experiment for ten steps, save and restore; print a row of preflight as JSON",
		Args: cobra.MaximumNArgs(1), Hidden: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			spec, err := trainSpec(cmd.Context(), a, f, args)
			if err != nil {
				return err
			}
			begin := time.Now()
			row := preflight.Row{Check: "trial of " + spec.Name, OK: true}
			row.Detail, err = trial(cmd.Context(), a, f, spec)
			if err != nil && cmd.Context().Err() != nil { // told to stop: nothing is known of the model
				return exitError{code: protocol.ExitPreempted, err: err}
			}
			if err != nil {
				row.OK, row.Detail = false, err.Error()
			}
			row.Seconds = time.Since(begin).Seconds()
			return json.NewEncoder(a.stdout).Encode(row)
		},
	}
	fl := cmd.Flags()
	addProfile(fl, &f.profile)
	addSets(fl, &f.sets)
	fl.StringVar(&f.specFile, "spec", "", "resolved spec as a JSON file, - for standard input")
	addWorkerStore(fl, &f.store, "where the trial is saved, and removed again")
	fl.StringVar(&f.cache, "cache", "", "folder of cached datasets")
	fl.StringVar(&f.backend, "backend", "auto", "backend")
	addThreads(fl, &f.threads)
	return cmd
}

// trialSteps is the length of a trial.
const trialSteps = 10

func trial(ctx context.Context, a *app, f trainFlags, spec experiment.Spec) (detail string, err error) {
	b, closer, err := open.Bucket(ctx, f.store)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, closer.Close()) }()
	cache := f.cache
	if cache == "" {
		cache = a.path("cache")
	}
	o := dataset.OptionsOf(spec)
	o.Opener = open.Bucket
	data, err := dataset.Ensure(ctx, b, o, cache, nil)
	if err != nil {
		return "", fmt.Errorf("dataset: %w", err)
	}
	host, _ := os.Hostname()
	prefix := layout.TrialStore(host, fmt.Sprintf("%d-%d", os.Getpid(), time.Now().UnixNano()))
	defer func() { err = errors.Join(err, removeAll(context.WithoutCancel(ctx), b, prefix)) }()
	res, err := train.Trial(ctx, train.Options{Spec: spec, Bucket: blob.Prefix(b, prefix), CacheDir: cache, DataDir: data.Dir,
		Backend: f.backend, Threads: f.threads,
		Patience: time.Minute, Logger: quietLogger()}, trialSteps)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s: loss %.3f to %.3f in %d steps of %.3g s, restored bit for bit, peak memory %.2f GB",
		res.Backend, res.Losses[0], res.Losses[trialSteps-1], trialSteps, res.StepSeconds, peakMemory()/1e9), nil
}

func removeAll(ctx context.Context, b blob.Bucket, prefix string) error {
	for at, err := range b.List(ctx, prefix) {
		if err != nil {
			return fmt.Errorf("remove the trial: %w", err)
		}
		if err := b.Delete(ctx, at.Key, blob.Any); err != nil && !errors.Is(err, blob.ErrNotExist) {
			return fmt.Errorf("remove the trial: %w", err)
		}
	}
	return nil
}

// peakMemory is the most resident memory that this process has had, in bytes; 0 if the system does not say.
func peakMemory() float64 {
	data, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kb * 1024
		}
	}
	return 0
}
