package activities

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"go.temporal.io/sdk/activity"

	"trmsweep/internal/blob"
	"trmsweep/internal/checkpoint"
	"trmsweep/internal/layout"
	"trmsweep/internal/protocol"
	"trmsweep/internal/wait"
)

// A run may be that of several experiments, of two sweeps for instance. One attempt trains it, the others wait: an attempt
// looks at HEAD.json before it takes the run, and takes it from nobody who lives. Where two look at the same moment, the
// fence decides: the second to take it finds another term than it has seen.

// OwnerState is what the server says of an attempt that has taken a run.
type OwnerState struct {
	Known    bool      // the server has its workflow
	Lives    bool      // it runs
	Progress *Progress // its last heartbeat; nil: none yet
}

// holder is who has a run.
type holder struct {
	term     int64  // of HEAD.json; 0: there is none
	name     string // of the living owner, for people; empty: nobody has it who lives, or the workflow that asks
	progress Progress
}

// errShared: another experiment's attempt trains the run.
type errShared struct {
	run string
	by  holder
}

func (e errShared) Error() string {
	return fmt.Sprintf("run %s is being trained by %s", e.run, e.by.name)
}

// unmovedFor is how long HEAD.json must not have changed before an owner that the server does not know counts as dead, unless
// its checkpoints are so far apart that three times their distance is longer; no longer than longestUnmoved.
const (
	unmovedFor     = 10 * time.Minute
	longestUnmoved = time.Hour
)

// whoHolds says who trains a run, other than the workflow self.
func (a *Activities) whoHolds(ctx context.Context, run, self string) (holder, error) {
	b, err := a.runOf(run)
	if err != nil {
		return holder{}, err
	}
	h, err := checkpoint.ReadHead(ctx, b)
	switch {
	case errors.Is(err, blob.ErrNotExist), errors.Is(err, checkpoint.ErrHead): // whoever takes the run makes HEAD.json anew
		return holder{}, nil
	case err != nil:
		return holder{}, fmt.Errorf("look who trains run %s: %w", run, err)
	}
	by := holder{term: h.Term}
	trains := h.Owner.WorkflowID != "" || h.Owner.PID > 0 // otherwise it was only given a checkpoint, by Fork or an import
	if !trains || h.Owner.WorkflowID == self {
		return by, nil
	}
	state, err := a.askOwner(ctx, h.Owner)
	if err != nil {
		return by, fmt.Errorf("ask for the owner of run %s: %w", run, err)
	}
	lives := state.Lives
	if !state.Known {
		if lives, err = a.moves(ctx, run, b, h); err != nil {
			return by, err
		}
	}
	if !lives {
		return by, nil
	}
	by.name = ownerName(h.Owner)
	by.progress = Progress{Host: h.Owner.Host}
	if n := len(h.Entries); n > 0 {
		by.progress.Step = h.Entries[n-1].Step
		by.progress.CommittedStep = h.Entries[n-1].Step
	}
	if state.Progress != nil {
		by.progress = *state.Progress
	}
	return by, nil
}

// ownerName is the experiment of an owner, or the host where somebody has started it by hand.
func ownerName(o checkpoint.Owner) string {
	parts := strings.Split(o.WorkflowID, "/") // sweep, phase, experiment; or one that is alone
	n := len(parts)
	switch {
	case o.WorkflowID == "":
		return "a process on " + o.Host
	case n < 3:
		return o.WorkflowID
	}
	return parts[n-1] + " of sweep " + strings.Join(parts[:n-2], "/")
}

// askOwner asks the server for an owner that is an attempt.
func (a *Activities) askOwner(ctx context.Context, o checkpoint.Owner) (OwnerState, error) {
	if a.AskOwner == nil || o.WorkflowID == "" {
		return OwnerState{}, nil
	}
	return a.AskOwner(ctx, o)
}

// moves judges an owner that the server does not know by what it writes: it lives as long as HEAD.json changes. It does
// not if its run is finished, or if it was a process of this machine that is gone.
func (a *Activities) moves(ctx context.Context, run string, b blob.Bucket, h checkpoint.Head) (bool, error) {
	if n := len(h.Entries); n > 0 && h.Entries[n-1].Final {
		_, err := a.Bucket.Stat(ctx, layout.RunKey(run, layout.ResultFile))
		if err == nil || !errors.Is(err, blob.ErrNotExist) {
			return false, err
		}
	}
	here, _ := os.Hostname() // without a name, nobody is from here
	gone := h.Owner.PID > 0 && errors.Is(syscall.Kill(h.Owner.PID, 0), syscall.ESRCH)
	if gone && here != "" && h.Owner.Host == here {
		return false, nil
	}
	attr, err := b.Stat(ctx, layout.HeadFile)
	if errors.Is(err, blob.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look how old HEAD.json of run %s is: %w", run, err)
	}
	return time.Since(attr.Updated) < patienceOf(ctx, b, h), nil
}

// patienceOf is how long HEAD.json of a living owner may stay as it is.
func patienceOf(ctx context.Context, b blob.Bucket, h checkpoint.Head) time.Duration {
	n := len(h.Entries)
	if n < 2 || h.Entries[n-1].Term != h.Entries[n-2].Term {
		return unmovedFor
	}
	last, err := checkpoint.ReadManifest(ctx, b, h.Entries[n-1])
	if err != nil {
		return unmovedFor
	}
	before, err := checkpoint.ReadManifest(ctx, b, h.Entries[n-2])
	if err != nil {
		return unmovedFor
	}
	return min(max(unmovedFor, 3*last.Created.Sub(before.Created)), longestUnmoved)
}

// followSoon and followLate are the first and the longest time between two looks at a run that another experiment trains.
const (
	followSoon = time.Second
	followLate = 5 * time.Second
)

// Follow waits while an attempt of another experiment trains the run, and returns what the store has of it then. Its
// heartbeats say how far that attempt is. It is one activity however long it takes: waiting adds nothing to the history.
func (a *Activities) Follow(ctx context.Context, it Item) (RunStatus, error) {
	self := ""
	if activity.IsActivity(ctx) {
		self = activity.GetInfo(ctx).WorkflowExecution.ID
	}
	ctx, setDetails, stop := a.withHeartbeats(ctx)
	defer stop()
	ctx, cancel := untilWorkerStops(ctx)
	defer cancel()
	since := time.Now()
	for pause := followSoon; ; pause = min(pause*3/2, followLate) {
		by, err := a.whoHolds(ctx, it.Run, self)
		if err != nil {
			return RunStatus{}, err
		}
		if by.name == "" {
			return a.status(ctx, it)
		}
		p := by.progress
		p.Holdup = protocol.Holdup{Kind: protocol.HoldupOtherRun, Since: since, Detail: by.name + " trains it"}
		setDetails(p)
		if err := wait.Sleep(ctx, pause); err != nil {
			return RunStatus{}, err
		}
	}
}
