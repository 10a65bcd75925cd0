package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"trmsweep/internal/backend"
	"trmsweep/internal/blob/open"
	"trmsweep/internal/experiment"
	"trmsweep/internal/guard"
	"trmsweep/internal/localstack"
	"trmsweep/internal/preflight"
	"trmsweep/worker"
)

// workerFlags are the flags of worker.
type workerFlags struct {
	store, backend, profile string
	metrics                 string // address
	allowHosts              []string
	placement               string // host, chip, or empty: the profile's
	threads, slots, chips   int
	dataRoots               []string
	embedded                bool // only the stack on the state folder will do
	slotsGiven              bool // or 0 stands for as many as fit the placement
	patience, grace         time.Duration
}

func newWorkerCmd(a *app) *cobra.Command {
	var f workerFlags
	cmd := &cobra.Command{
		Use:   "worker",
		Short: "Run workflows and training on this host until told to stop",
		Long: `Run workflows and training on this host.

The server is the embedded stack on --state where that is given and has one, else
the one that TEMPORAL_ADDRESS and the other variables of Temporal's clients name,
else the stack in the default state folder. The storage of a stack is then the
default store. SIGTERM and SIGHUP let running training save at its next step
boundary before the worker ends.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			unheard(a)
			a.embedded, a.ownState = f.embedded, true
			f.slotsGiven = cmd.Flags().Changed("slots")
			o, err := workerOptions(a, f)
			if err == nil {
				err = useEmbeddedStorage(a, f.store)
			}
			if err != nil {
				return err
			}
			lock, done, err := localstack.HoldWorker(a.stateDir, localstack.Worker{
				PID:        os.Getpid(),
				Kept:       f.embedded,
				NeedsStack: f.embedded && strings.HasPrefix(f.store, "gs://"),
			})
			if err != nil {
				return err
			}
			defer done()
			o.Inherit = []*os.File{lock}
			return worker.Run(cmd.Context(), o)
		},
	}
	fl := cmd.Flags()
	addWorkerStore(fl, &f.store, "where checkpoints and results live")
	addBackend(fl, &f.backend)
	addWorkerProfile(fl, &f.profile)
	addThreads(fl, &f.threads)
	fl.IntVar(&f.slots, "slots", 0, "training processes at once (0 = 1, or one per chip with placement chip)")
	fl.StringVar(&f.placement, "placement", "",
		"on a TPU host, what a training process has to itself: host, chip (default: the profile's placement)")
	fl.IntVar(&f.chips, "chips", 0, "TPU chips of this host (0 = those in /dev)")
	fl.DurationVar(&f.patience, "patience", time.Minute, "how long to wait for the server at the start")
	fl.BoolVar(&f.embedded, "embedded", false, "use nothing but the stack on --state (set by run and up)")
	_ = fl.MarkHidden("embedded")
	fl.DurationVar(&f.grace, "grace", 2*time.Minute, "time that training has to save after SIGTERM")
	fl.StringVar(&f.metrics, "metrics-address", envOr("TRMSWEEP_METRICS_ADDRESS", ""),
		"host:port of GET /metrics for Prometheus; empty = none (environment TRMSWEEP_METRICS_ADDRESS)")
	addAllowHost(cmd, &f.allowHosts)
	addDataRoot(cmd, &f.dataRoots)
	return cmd
}

// maxSlots is more training processes than any host has chips or memory for.
const maxSlots = 1024

// mostWait is longer than anybody waits for a process.
const mostWait = 24 * time.Hour

// threadsFault refuses a number of threads that no host has.
func threadsFault(n int) error {
	if n < 0 || n > backend.MaxThreads {
		return usagef("--threads %d: want 0 (all cores) to %d", n, backend.MaxThreads)
	}
	return nil
}

// check finds what is wrong with the flags before anything is started.
func (f workerFlags) check(cfg fs.FS) error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	inRange := f.slots >= 1 && f.slots <= maxSlots
	if f.slotsGiven && !inRange {
		fault("--slots %d: want 1 to %d", f.slots, maxSlots)
	}
	if !slices.Contains([]string{"", experiment.PlacementHost, experiment.PlacementChip}, f.placement) {
		fault("--placement %q: want %s or %s", f.placement, experiment.PlacementHost, experiment.PlacementChip)
	}
	if f.chips < 0 || f.chips > maxSlots {
		fault("--chips %d: want 0 (those in /dev) to %d", f.chips, maxSlots)
	}
	for name, d := range map[string]time.Duration{"patience": f.patience, "grace": f.grace} {
		if d < 0 || d > mostWait {
			fault("--%s %s: want 0 to %s", name, d, mostWait)
		}
	}
	if err := threadsFault(f.threads); err != nil {
		faults = append(faults, err)
	}
	if err := backend.Check(f.backend); err != nil {
		fault("--backend: %w", err)
	}
	if err := open.Check(f.store); err != nil {
		fault("--store: %w", err)
	}
	if _, _, err := net.SplitHostPort(f.metrics); f.metrics != "" && err != nil {
		fault("--metrics-address: %w; want HOST:PORT", err)
	}
	if _, err := guard.New(f.allowHosts...); err != nil {
		faults = append(faults, err)
	}
	profiles, err := experiment.Profiles(cfg)
	if err == nil && f.profile != "" && !slices.Contains(profiles, f.profile) {
		err = fmt.Errorf("--profile: unknown profile %q (known: %s)", f.profile, strings.Join(profiles, ", "))
	}
	if err = errors.Join(append(faults, err)...); err != nil {
		return usageError{err}
	}
	return nil
}

func workerOptions(a *app, f workerFlags) (worker.Options, error) {
	cfg, err := a.configs()
	if err == nil {
		err = f.check(cfg)
	}
	if err == nil {
		err = f.place(cfg)
	}
	if err != nil {
		return worker.Options{}, err
	}
	roots, err := dataRoots(cfg, os.Environ(), f.dataRoots)
	if err != nil {
		return worker.Options{}, err
	}
	return worker.Options{
		Server:         a.server(),
		StateDir:       a.stateDir,
		Store:          f.store,
		Profile:        f.profile,
		Backend:        f.backend,
		Threads:        f.threads,
		Slots:          f.slots,
		Configs:        cfg,
		Environ:        os.Environ(),
		DataRoots:      roots,
		Patience:       f.patience,
		Grace:          f.grace,
		MetricsAddress: f.metrics,
		AllowHosts:     f.allowHosts,
		Logger:         slog.New(slog.NewTextHandler(a.stderr, nil)),
		Chips:          f.chips,
		Checks: func(specs []experiment.Spec, env []string) []preflight.Check {
			return hostChecks(a, cfg, f, specs, env)
		},
	}, nil
}
