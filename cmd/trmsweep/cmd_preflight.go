package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"trmsweep/activities"
	"trmsweep/internal/backend"
	"trmsweep/internal/blob"
	"trmsweep/internal/blob/open"
	"trmsweep/internal/dataset"
	"trmsweep/internal/endpoint"
	"trmsweep/internal/experiment"
	"trmsweep/internal/layout"
	"trmsweep/internal/preflight"
	"trmsweep/internal/version"
)

func newPreflightCmd(a *app) *cobra.Command {
	var f workerFlags
	var sets []string
	var asJSON, noTrials bool
	cmd := &cobra.Command{
		Use:   "preflight [SWEEP|EXPERIMENT...]",
		Short: "Check everything before hours of chips are spent (default: for AllAblations)",
		Long: `Check this host, its store and its server: program, configuration, permissions,
disk, memory, backends and devices, datasets, workers, and a trial of ten steps
for every shape of model, whose loss must fall and whose checkpoint must restore.
Exit code 1 where a check fails. Sweeps do the same as their first step.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			a.ownState = true
			cfg, err := a.configs()
			if err != nil {
				return err
			}
			specs, err := seededSpecs(cfg, args, f.profile, sets, nil)
			if err != nil {
				return err
			}
			if err := f.check(cfg); err != nil {
				return err
			}
			if err := useEmbeddedStorage(a, f.store); err != nil {
				return err
			}
			named := cmd.Flags().Changed("store") || os.Getenv("TRMSWEEP_STORE") != ""
			if !named && os.Getenv("STORAGE_EMULATOR_HOST") == "" {
				return usagef("preflight: no stack runs on %s, and no store was named: start one with `trmsweep up`, "+
					"or name the store with --store or TRMSWEEP_STORE", a.stateDir)
			}
			ctx := cmd.Context()
			shapes := preflight.Shapes(specs)
			checks := append(hostChecks(a, cfg, f, specs, nil), datasetCheck(f.store, specs),
				preflight.Check{Name: "server and workers", Run: func(ctx context.Context) (string, error) { return checkServer(ctx, a) }})
			t := preflight.Run(ctx, checks)
			if !noTrials && ctx.Err() == nil {
				t.Add(tryShapes(ctx, a, f, shapes)...)
			}
			if asJSON {
				err = json.NewEncoder(a.stdout).Encode(t)
			} else {
				err = t.Write(a.stdout)
			}
			if err == nil && ctx.Err() != nil {
				return interrupted(ctx, ctx.Err(), "preflight was not finished")
			}
			if err == nil && !t.OK {
				err = fmt.Errorf("preflight: %d of %d checks failed", len(t.Faults()), len(t.Rows))
			}
			return err
		},
	}
	fl := cmd.Flags()
	addWorkerStore(fl, &f.store, "where checkpoints and results live")
	addWorkerProfile(fl, &f.profile)
	addBackend(fl, &f.backend)
	addSets(fl, &sets)
	addThreads(fl, &f.threads)
	addSlots(fl, &f.slots)
	fl.BoolVar(&noTrials, "no-trials", false, "leave the trials out")
	addJSON(fl, &asJSON)
	return cmd
}

// hostChecks are what this host must pass to train the specs. What opens a device has env in its environment too.
func hostChecks(a *app, cfg fs.FS, f workerFlags, specs []experiment.Spec, env []string) []preflight.Check {
	checks := []preflight.Check{
		preflight.Libraries(version.Code(), builtFrom()),
		preflight.Configs(cfg, f.profile, os.Environ()),
		preflight.Store(func(ctx context.Context) (preflight.Opened, error) { return openStore(ctx, f.store) }),
		preflight.Disk(a.stateDir, 2<<30),
		preflight.Memory(specs, f.slots, bytesOnHost(f.backend)),
		{Name: "backends", Timeout: 5 * time.Minute, Run: func(ctx context.Context) (string, error) {
			return checkBackends(ctx, f.backend, env)
		}},
	}
	if dir := storeFolder(a, f.store); dir != "" {
		checks = append(checks, preflight.Room(dir, specs))
	}
	return checks
}

// storeFolder is where on this host a store keeps its objects: a folder, or the
// emulator of the stack on the state folder; empty if that is elsewhere.
func storeFolder(a *app, store string) string {
	rest, cloud := strings.CutPrefix(store, "gs://")
	if !cloud {
		return store
	}
	s, err := endpoint.ReadStack(a.stateDir)
	if err != nil || s.GCS == "" || s.GCS != os.Getenv("STORAGE_EMULATOR_HOST") {
		return ""
	}
	return a.path("gcs", filepath.FromSlash(rest))
}

// xlaOnCPU is how much more than counted in float32 XLA's compiler for CPUs assigns. It is fitted to what the compiler says of its
// programs (GetCompiledMemoryStats): at most 1.46 with both mixers and types, and TestXLAMemory holds it between that and twice as
// much. Preflight and plan cannot ask the compiler itself: compiling takes minutes. For a TPU it stays below what is counted.
const xlaOnCPU = 1.5

// bytesOnHost is what a training process needs in this host's memory. XLA computes in float32 on a CPU.
func bytesOnHost(name string) func(experiment.Spec) float64 {
	switch {
	case backend.Accelerated(name):
		return preflight.StateBytes
	case strings.HasPrefix(name, "xla:"):
		return func(s experiment.Spec) float64 {
			s.ForwardDType = "float32"
			return xlaOnCPU * preflight.TrainingBytes(s)
		}
	}
	return preflight.TrainingBytes
}

// builtFrom is the versions of the modules in this binary.
func builtFrom() map[string]string {
	out := map[string]string{}
	if bi, ok := debug.ReadBuildInfo(); ok {
		for _, m := range bi.Deps {
			out[m.Path] = m.Version
		}
	}
	return out
}

func openStore(ctx context.Context, address string) (preflight.Opened, error) {
	b, closer, err := open.Bucket(ctx, address)
	return preflight.Opened{Bucket: b, Closer: closer, Address: address}, err
}

// datasetCheck says of every dataset of the specs whether the store has it or it can be made.
func datasetCheck(store string, specs []experiment.Spec) preflight.Check {
	return preflight.Check{Name: "datasets", Timeout: 5 * time.Minute, Run: func(ctx context.Context) (detail string, err error) {
		o, err := openStore(ctx, store)
		if err != nil {
			return "", err
		}
		defer func() { err = errors.Join(err, o.Closer.Close()) }()
		seen := map[string]bool{}
		present, missing := 0, 0
		for _, s := range specs {
			opts := dataset.OptionsOf(s)
			if key := fmt.Sprintf("%+v", opts); seen[key] {
				continue
			} else {
				seen[key] = true
			}
			hash, err := opts.Hash(ctx)
			if err != nil {
				return "", fmt.Errorf("dataset of %s: %w", s.Name, err)
			}
			if _, err := o.Bucket.Stat(ctx, layout.DatasetKey(hash, layout.ManifestFile)); err == nil {
				present++
			} else if errors.Is(err, blob.ErrNotExist) {
				missing++
			} else {
				return "", err
			}
		}
		return fmt.Sprintf("%d in the store, %d to be made from their sources", present, missing), nil
	}}
}

// tryShapes runs the trials one after another, each in a process of its own.
func tryShapes(ctx context.Context, a *app, f workerFlags, shapes []experiment.Spec) []preflight.Row {
	c := activities.Child{Args: activities.ChildArgs(f.store, filepath.Join(a.stateDir, "cache"), f.backend, f.threads)}
	var rows []preflight.Row
	for _, s := range shapes {
		data, err := json.Marshal(s)
		var row preflight.Row
		if err == nil {
			row, err = c.Try(ctx, s.Name, data)
		}
		if err != nil {
			row = preflight.Row{Check: "trial of " + s.Name, Detail: err.Error()}
		}
		rows = append(rows, row)
	}
	return rows
}
