package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"trmsweep/internal/backend"
	"trmsweep/internal/blob"
	"trmsweep/internal/blob/open"
	"trmsweep/internal/checkpoint"
	"trmsweep/internal/experiment"
	"trmsweep/internal/preempt"
	"trmsweep/internal/protocol"
	"trmsweep/internal/train"
)

// trainFlags are the flags of train.
type trainFlags struct {
	profile, specFile, store, run, cache, data, backend, owner string
	sets                                                       []string
	seed                                                       int64
	threads                                                    int
	maxSteps, seenTerm                                         int64
	patience, grace, devicePatience                            time.Duration
	noMetadata                                                 bool
	fault                                                      error // in them
}

func newTrainCmd(a *app) *cobra.Command {
	var f trainFlags
	cmd := &cobra.Command{
		Use:   "train EXPERIMENT",
		Short: "Train one experiment, resuming by itself; JSON lines on standard output",
		Long: `Train one experiment to the end, or resume it where it stopped.

Events go to standard output as JSON lines; the last line is the result with
state_sha256 (all training state) and ledger_sha256 (all batches fed).
Exit codes: 0 done, 1 failed and worth another attempt (storage that was away or
full for longer than --patience, for one), 2 usage or configuration, 3 told to
stop and saved, 4 another attempt owns the run, 5 final failure (loss not finite,
every checkpoint bad, not enough memory), 6 the device is busy with another process.
SIGTERM, SIGINT and SIGHUP save at the next step boundary; a second SIGINT (Ctrl-C)
kills, and SIGQUIT (Ctrl-\) ends at once with the stacks of the program, nothing saved.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			unheard(a)
			numbers := atLeast(cmd, 0, "max-steps", "seed", "patience", "device-patience", "grace")
			f.fault = cmp.Or(errors.Join(threadsFault(f.threads), numbers), badDuration("TRMSWEEP_GRACE"))
			return runTrain(cmd.Context(), a, f, args)
		},
	}
	fl := cmd.Flags()
	f.addSpec(fl)
	fl.StringVar(&f.specFile, "spec", "", "resolved spec as a JSON file, - for standard input, instead of EXPERIMENT, --profile and --set")
	addTrainStore(fl, &f.store)
	fl.StringVar(&f.run, "run", "", "name of the run in the store (default: spec hash and seed)")
	addData(fl, &f.cache, &f.data)
	addBackend(fl, &f.backend)
	addThreads(fl, &f.threads)
	fl.Int64Var(&f.maxSteps, "max-steps", 0, "stop with a checkpoint once this step is done (0 = train to the end)")
	fl.DurationVar(&f.patience, "patience", 10*time.Minute, "how long storage may be away before the attempt fails")
	fl.DurationVar(&f.devicePatience, "device-patience", 3*time.Minute, "how long a device that another process holds is waited for")
	fl.DurationVar(&f.grace, "grace", envDuration("TRMSWEEP_GRACE", time.Hour),
		"age at which objects that no checkpoint names are collected (environment TRMSWEEP_GRACE)")
	fl.StringVar(&f.owner, "owner", "", "who runs this, as JSON (set by the worker)")
	fl.Int64Var(&f.seenTerm, "seen-term", -1, "fence term of the run when its owner was found to be dead (set by the worker)")
	_ = fl.MarkHidden("seen-term")
	fl.BoolVar(&f.noMetadata, "no-metadata", false, "do not ask the cloud's metadata server for preemption notices")
	return cmd
}

// runTrain is the training process: options, one run, one last line, one exit code.
func runTrain(ctx context.Context, a *app, f trainFlags, args []string) error {
	start := time.Now()
	events := newEventLines(a)
	opts, closeStore, err := trainOptions(ctx, a, f, args, events)
	if err != nil && ctx.Err() != nil { // a notice, not a wrong address
		err = fmt.Errorf("%w before it began: %w", train.ErrPreempted, err)
		events.failure(protocol.ExitPreempted, err, unstarted(opts))
		return exitError{code: protocol.ExitPreempted, err: err}
	}
	if errors.Is(err, blob.ErrTransient) || errors.Is(err, blob.ErrDenied) { // as at every later operation
		events.failure(protocol.ExitFailed, err, unstarted(opts))
		return exitError{code: protocol.ExitFailed, err: err}
	}
	if err != nil {
		events.failure(protocol.ExitUsage, err, unstarted(opts))
		return err
	}
	defer closeStore()
	if err := checkMemory(ctx, opts.Spec); err != nil {
		events.failure(protocol.ExitFinal, err, unstarted(opts))
		return exitError{code: protocol.ExitFinal, err: err}
	}
	opts.Start = start
	opts.Events = events.send

	// The first signal is a notice, not an abort: the work goes on to the next step boundary.
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	opts.Notice = notices(ctx, work, f.noMetadata)

	res, err := train.Run(work, opts)
	code := trainExit(err)
	if code != protocol.ExitDone && code != protocol.ExitPreempted {
		events.failure(code, err, res)
		return exitError{code: code, err: err}
	}
	if err != nil {
		res.Preempted = err.Error()
	}
	events.result(res)
	if code == protocol.ExitPreempted {
		return exitError{code: code, err: err}
	}
	return nil
}

// unstarted is the result of a run that did not begin.
func unstarted(o train.Options) protocol.AttemptResult {
	return protocol.AttemptResult{Run: o.Run, Total: o.Spec.TotalSteps()}
}

// trainOptions turns flags into options; every error is the user's, unless the store is away (blob.ErrTransient).
func trainOptions(ctx context.Context, a *app, f trainFlags, args []string, events *eventLines) (train.Options, func(), error) {
	spec, err := trainSpec(ctx, a, f, args)
	if err = cmp.Or(f.fault, err); err != nil {
		return train.Options{}, nil, err
	}
	o := train.Options{
		Spec:           spec,
		Run:            f.run,
		CacheDir:       f.cache,
		DataDir:        f.data,
		Backend:        f.backend,
		Threads:        f.threads,
		MaxSteps:       f.maxSteps,
		Patience:       f.patience,
		DevicePatience: f.devicePatience,
		Grace:          f.grace,
		Logger:         slog.New(slog.NewTextHandler(a.stderr, nil)),
	}
	if f.seenTerm >= 0 {
		o.SeenTerm = &f.seenTerm
	}
	if o.CacheDir == "" {
		o.CacheDir = a.path("cache")
	}
	if f.owner != "" {
		if err := json.Unmarshal([]byte(f.owner), &o.Owner); err != nil {
			return o, nil, usagef("--owner: %w", err)
		}
	}
	host, _ := os.Hostname()
	if o.Owner.Host == "" {
		o.Owner.Host = host
	}
	o.Owner.PID = os.Getpid()
	if f.store == "" {
		f.store = envOr("TRMSWEEP_STORE", a.path("store"))
	}
	b, closer, err := open.Raw(ctx, f.store, f.patience, func(err error, waited time.Duration) {
		events.send(protocol.Event{
			Type:    protocol.EventStorage,
			State:   protocol.StateStarting,
			Seconds: waited.Seconds(),
			Message: err.Error(),
			Holdup:  protocol.StorageHoldup(err, o.Owner.Host, time.Now().Add(-waited)),
		})
		o.Logger.Warn("storage does not answer, waiting", "store", f.store, "error", err, "waited", waited.Round(time.Millisecond))
	})
	if err != nil {
		return o, nil, usagef("--store %s: %w", f.store, err)
	}
	o.Bucket = b
	o.Opener = open.Bucket
	return o, func() { _ = closer.Close() }, nil
}

// maxSpecBytes is far more than any spec has.
const maxSpecBytes = 1 << 20

// trainSpec resolves the experiment, or reads a spec that was resolved before.
func trainSpec(ctx context.Context, a *app, f trainFlags, args []string) (experiment.Spec, error) {
	if f.specFile != "" {
		if len(args) > 0 {
			return experiment.Spec{}, usagef("train takes EXPERIMENT or --spec FILE, not both")
		}
		data, err := readInput(ctx, f.specFile, maxSpecBytes)
		if err != nil {
			return experiment.Spec{}, usagef("--spec: %w", err)
		}
		s, err := experiment.DecodeSpec(data)
		if err != nil {
			return s, usagef("--spec %s: %w", f.specFile, err)
		}
		if err := s.Validate(); err != nil {
			return s, usagef("--spec %s: %w", f.specFile, err)
		}
		return s, nil
	}
	if len(args) == 0 {
		return experiment.Spec{}, usagef("train needs the name of an experiment, for example `trmsweep train e1_3_batch_1024 --profile smoke`; " +
			"`trmsweep plan AllAblations` lists them")
	}
	cfg, err := a.configs()
	if err != nil {
		return experiment.Spec{}, err
	}
	if f.seed != 0 {
		f.sets = append(f.sets, fmt.Sprintf("seed=%d", f.seed))
	}
	s, err := experiment.Resolve(cfg, args[0], f.profile, f.sets, os.Environ())
	if err != nil {
		return s, usageError{err}
	}
	return s, nil
}

// notices merges signals (ctx) and the metadata server into reasons to stop.
func notices(ctx, work context.Context, noMetadata bool) <-chan string {
	out := make(chan string, 1)
	var watch <-chan preempt.Notice // nil: none ever comes
	if !noMetadata {
		watch = preempt.Watch(work)
	}
	go func() {
		select {
		case <-ctx.Done():
			out <- "signal: told to stop"
		case n, ok := <-watch: // closed when work ends
			if ok {
				out <- strings.TrimSpace(n.Reason + ": " + n.Detail)
			}
		case <-work.Done():
		}
	}()
	return out
}

// trainExit chooses the exit code of the protocol.
func trainExit(err error) int {
	switch {
	case err == nil:
		return protocol.ExitDone
	case errors.Is(err, train.ErrPreempted):
		return protocol.ExitPreempted
	case errors.Is(err, checkpoint.ErrFenced):
		return protocol.ExitFenced
	case errors.Is(err, backend.ErrBusy):
		return protocol.ExitBusy
	case errors.Is(err, train.ErrDiverged), errors.Is(err, backend.ErrTooLarge),
		errors.Is(err, checkpoint.ErrAllBad), errors.Is(err, checkpoint.ErrFormat):
		return protocol.ExitFinal
	case errors.Is(err, train.ErrMismatch), errors.Is(err, train.ErrUnfinishedImport), errors.Is(err, blob.ErrKey), train.IsUserError(err):
		return protocol.ExitUsage
	}
	return protocol.ExitFailed
}

// badDuration is the fault of a variable that envDuration cannot take.
func badDuration(name string) error {
	text := os.Getenv(name)
	d, err := time.ParseDuration(text)
	usable := err == nil && d > 0
	if text != "" && !usable {
		return usagef("%s=%s: want a duration such as 90s, 10m or 1h", name, text)
	}
	return nil
}

// envDuration is a duration from the environment; one that cannot be read counts as not there (see badDuration).
func envDuration(name string, def time.Duration) time.Duration {
	if d, err := time.ParseDuration(os.Getenv(name)); err == nil && d > 0 {
		return d
	}
	return def
}
