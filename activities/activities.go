// Package activities adapts the study's parts to Temporal: heartbeats, cancellation,
// classes of errors. What goes in are small inputs that name runs and keys of the store;
// what comes out are small results or application errors whose type (errors.go) says
// whether another attempt may help. Nothing here computes on tensors or knows a storage
// product.
//
//	Plan        names of experiments -> specs in the store, one Item per run
//	Status(All) Item -> what the store has of the run
//	Dataset     specs -> their datasets, made once
//	Preflight   specs -> table of checks of this host; Trial trains one spec for ten steps; Pollers asks who listens
//	Hosts       the workers that live
//	Train       one attempt of one run, in a child process; Follow waits while another experiment trains the run
//	Extend      Item and epochs -> Item of a longer run; Fork gives that run the checkpoint of the shorter
//	Ends        experiments of a phase that has ended without them -> what became of each
//	Heartbeats  experiments -> the progress of their running attempts
//	Report      finished Items -> report of the sweep in the store
//
// A training attempt (train.go, heartbeat.go, child.go):
//
//	Train -> heartbeats begin -> wait for a slot if it came by the worker's own queue (host_slots.go)
//	      -> whoHolds: a run that a living attempt of another experiment trains is left to that (shared.go)
//	      -> prepare: read the spec, empty the run if it is trained anew
//	      -> acquire a chip of the host -> start `trmsweep train`, spec on its standard input
//	      -> each event line changes the Progress; every heartbeat carries it
//	      -> exit code and last line -> TrainResult, or an error with the Progress
//	cancelled, given up by the server, or worker stops -> SIGTERM: the process saves and ends;
//	      SIGKILL after Child.Grace
//	says nothing for Child.Silence -> SIGKILL
//
// Results of activities are named by content, so that an activity that is run again finds
// what it has made. Train may be run again too: the fence of internal/checkpoint keeps an
// attempt that was given up from committing.
package activities

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"go.temporal.io/sdk/temporal"
	"golang.org/x/sync/errgroup"

	"trmsweep/internal/blob"
	"trmsweep/internal/checkpoint"
	"trmsweep/internal/dataset"
	"trmsweep/internal/experiment"
	"trmsweep/internal/preflight"
	"trmsweep/internal/protocol"
	"trmsweep/internal/study"
)

// Activities are all activities. Every field is a dependency, set once by worker.
type Activities struct {
	Configs fs.FS
	Environ []string // TRMSWEEP_SET_... of the worker
	Profile string   // used if the input names none
	// DataRoots are the folders and files of this host that a workflow's data_source may name.
	DataRoots []string
	Bucket    blob.Bucket
	Child     Child
	Host      string // of the machine
	Worker    string // name of this worker: see queues.WorkerName
	// Slots are what training attempts share on this host; nil = no limit.
	Slots *HostSlots
	// Notify sends progress to the workflow of the activity; nil = do not.
	Notify func(ctx context.Context, p Progress) error
	// Heartbeat tells the server once that an activity goes on. temporal.CanceledError: the
	// workflow wants it to end; serviceerror.NotFound: the server has given it up.
	Heartbeat      func(ctx context.Context, taskToken []byte, details any) error
	HeartbeatEvery time.Duration // 0 = 2 s for training, 5 s for all others
	// CacheDir holds the datasets and downloads of this host; Opener opens the buckets of gs:// sources.
	CacheDir string
	Opener   dataset.Opener
	// Checks are what this host must pass before it trains the specs, with env added to the environment of what opens a device.
	Checks func(specs []experiment.Spec, env []string) []preflight.Check
	// AwaitEnd waits for the end of an experiment that the run of a phase has begun.
	AwaitEnd func(ctx context.Context, workflowID, phaseRun string) (study.End, error)
	// LastHeartbeat is the progress of an experiment's running attempt, or nil.
	LastHeartbeat func(ctx context.Context, workflowID string) *Progress
	// ListPollers says which workers listen, or which task queue has none.
	ListPollers func(ctx context.Context) (string, error)

	// AskOwner asks the server for an attempt that has taken a run; nil: nobody can be asked.
	AskOwner func(ctx context.Context, o checkpoint.Owner) (OwnerState, error)
	// ListHosts says which workers live.
	ListHosts func(ctx context.Context) ([]study.LivingHost, error)

	// What tests put in the place of dataset.Ensure and dataset.LocalHash.
	ensure    func(ctx context.Context, s experiment.Spec, progress func(any)) (hash string, built bool, err error)
	localHash func(ctx context.Context, s experiment.Spec) (string, error)
}

// Status reads what the store knows of a run.
func (a *Activities) Status(ctx context.Context, it Item) (RunStatus, error) {
	ctx, _, stop := a.withHeartbeats(ctx)
	defer stop()
	return a.status(ctx, it)
}

func (a *Activities) status(ctx context.Context, it Item) (RunStatus, error) {
	var st RunStatus
	b, err := a.runOf(it.Run)
	if err != nil {
		return st, err
	}
	r, err := protocol.ReadResult(ctx, a.Bucket, protocol.Identity{Run: it.Run, SpecHash: it.SpecHash, Seed: it.Seed})
	switch {
	case err == nil:
		if err := a.sameData(ctx, it, r.DatasetHash); err != nil {
			return st, err
		}
		outcome := r.Outcome()
		st = RunStatus{
			Finished:      true,
			Steps:         r.Steps,
			CommittedStep: r.Steps,
			Outcome:       &outcome,
			StateSHA256:   r.StateSHA256,
		}
	case errors.Is(err, protocol.ErrNewer):
		return st, temporal.NewNonRetryableApplicationError(err.Error(), ErrConfig, nil)
	case errors.Is(err, protocol.ErrResult): // damaged, or another run's: training writes it anew
	case !errors.Is(err, blob.ErrNotExist):
		return st, fmt.Errorf("look for the result of run %s: %w", it.Run, err)
	}
	if err := readProgress(ctx, b, &st); errors.Is(err, checkpoint.ErrFormat) {
		return st, temporal.NewNonRetryableApplicationError(fmt.Sprintf("look at run %s: %v", it.Run, err), ErrConfig, nil)
	} else if err != nil {
		return st, fmt.Errorf("look at run %s: %w", it.Run, err)
	}
	return st, nil
}

// readProgress reads who has the run and, if it is not finished, the step that the next attempt would go on
// from. HEAD.json alone does not say that: it can be lost, damaged, an older copy or another run's.
func readProgress(ctx context.Context, b blob.Bucket, st *RunStatus) error {
	h, err := checkpoint.ReadHead(ctx, b)
	lost := errors.Is(err, blob.ErrNotExist) || errors.Is(err, checkpoint.ErrHead)
	if err != nil && !lost {
		return err
	}
	st.Term, st.Owner = h.Term, h.Owner.WorkflowID
	if st.Finished {
		return nil
	}
	m, _, err := checkpoint.Newest(ctx, b)
	if errors.Is(err, checkpoint.ErrAllBad) { // the next attempt says so
		return nil
	}
	if m != nil {
		st.CommittedStep = m.Step
	}
	return err
}

// sameData is an error if the file that a finished run was trained on holds something else now.
func (a *Activities) sameData(ctx context.Context, it Item, trained string) error {
	if trained == "" {
		return nil
	}
	s, err := a.readSpec(ctx, it.SpecKey)
	if err != nil {
		return err
	}
	now, err := a.localDataset(ctx, s)
	if err != nil {
		return fmt.Errorf("dataset of %s: %w", s.Name, err)
	}
	if now == "" {
		return nil
	}
	if same, err := dataset.Same(ctx, a.Bucket, now, trained); same || err != nil {
		return err
	}
	msg := fmt.Sprintf("run %s is finished on dataset %.12s, and %s makes %.12s now: "+
		"put the old file back, give the new one another name, or train again with --force", it.Run, trained, s.DataSource, now)
	return temporal.NewNonRetryableApplicationError(msg, ErrConfig, nil)
}

// StatusAll is Status of many runs, in their order; what is wrong with one is in its Error.
func (a *Activities) StatusAll(ctx context.Context, items []Item) ([]RunStatus, error) {
	ctx, _, stop := a.withHeartbeats(ctx)
	defer stop()
	out := make([]RunStatus, len(items))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(16)
	for i, it := range items {
		g.Go(func() error {
			st, err := a.status(gctx, it)
			var app *temporal.ApplicationError
			if errors.As(err, &app) {
				st.Error, err = app.Message(), nil
			}
			out[i] = st
			return err
		})
	}
	return out, g.Wait()
}

// Dataset makes the datasets of the specs exist; it does nothing if they do.
// Faults of the user's data are final, and are reported after the other datasets have been made.
func (a *Activities) Dataset(ctx context.Context, in DatasetInput) (DatasetResult, error) {
	var out DatasetResult
	ctx, progress, stop := a.withHeartbeats(ctx)
	defer stop()
	made, hashes := map[experiment.Spec]bool{}, map[string]bool{}
	var faults []error
	for _, key := range in.SpecKeys {
		s, err := a.readSpec(ctx, key)
		if err != nil {
			return out, err
		}
		if made[dataOf(s)] {
			continue
		}
		made[dataOf(s)] = true
		hash, built, err := a.ensureDataset(ctx, s, progress)
		if errors.Is(err, dataset.ErrInput) {
			faults = append(faults, fmt.Errorf("dataset of %s: %w", s.Name, err))
			continue
		}
		if err != nil {
			return out, fmt.Errorf("dataset of %s: %w", s.Name, err)
		}
		if built {
			out.Built++
		}
		if !hashes[hash] {
			hashes[hash] = true
			out.Hashes = append(out.Hashes, hash)
		}
	}
	if err := errors.Join(faults...); err != nil {
		return out, temporal.NewNonRetryableApplicationError(err.Error(), ErrConfig, err)
	}
	return out, nil
}

// ensureDataset makes the dataset of a spec exist in the store; built says that it was made here.
func (a *Activities) ensureDataset(ctx context.Context, s experiment.Spec, progress func(any)) (hash string, built bool, err error) {
	if a.ensure != nil {
		return a.ensure(ctx, s, progress)
	}
	o := dataset.OptionsOf(s)
	o.Opener = a.Opener
	d, err := dataset.Ensure(ctx, a.Bucket, o, a.CacheDir, func(p dataset.Progress) { progress(p) })
	return d.Hash, d.Built, err
}

// localDataset is the content hash of the dataset that the spec's file makes now, empty if the source is no file of this host.
func (a *Activities) localDataset(ctx context.Context, s experiment.Spec) (string, error) {
	if a.localHash != nil {
		return a.localHash(ctx, s)
	}
	return dataset.LocalHash(ctx, dataset.OptionsOf(s))
}

// dataOf is the part of a spec that decides its dataset.
func dataOf(s experiment.Spec) experiment.Spec {
	return experiment.Spec{DataSource: s.DataSource, DataPuzzles: s.DataPuzzles, DataAugmentations: s.DataAugmentations,
		DataMinRating: s.DataMinRating, DataTestPuzzles: s.DataTestPuzzles, DataSeed: s.DataSeed}
}
