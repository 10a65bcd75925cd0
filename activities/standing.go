package activities

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"trmsweep/internal/study"
)

// EndsInput names experiments that a phase has begun, or was to begin, before it ended without them.
type EndsInput struct {
	PhaseRun  string   `json:"phase_run"` // run id of the phase; empty: it never began
	Workflows []string `json:"workflows"` // ids
}

// endPatience is how long Ends waits for an experiment that was asked to end: it saves first, and its host may be lost.
const endPatience = 15 * time.Minute

// atOnce is how many workflows an activity asks the server for together.
const atOnce = 16

// Ends waits until experiments have ended whose phase has, and says how, in their order.
func (a *Activities) Ends(ctx context.Context, in EndsInput) ([]study.End, error) {
	ctx, _, stop := a.withHeartbeats(ctx)
	defer stop()
	waiting, cancel := context.WithTimeout(ctx, endPatience)
	defer cancel()
	out := make([]study.End, len(in.Workflows))
	g := errgroup.Group{}
	g.SetLimit(atOnce)
	for i, id := range in.Workflows {
		g.Go(func() (err error) {
			out[i], err = a.AwaitEnd(waiting, id, in.PhaseRun)
			if err != nil && ctx.Err() == nil && errors.Is(waiting.Err(), context.DeadlineExceeded) {
				out[i] = study.End{How: study.ServerRunning}
				return nil
			}
			return err
		})
	}
	return out, g.Wait()
}

// Heartbeats reads what running attempts say of their progress, in the order of their experiments' workflow ids. It
// is nil for an experiment without one, or one that cannot be asked.
func (a *Activities) Heartbeats(ctx context.Context, ids []string) ([]*Progress, error) {
	ctx, _, stop := a.withHeartbeats(ctx)
	defer stop()
	out := make([]*Progress, len(ids))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for i, id := range ids {
		g.Go(func() error {
			out[i] = a.LastHeartbeat(gctx, id)
			return gctx.Err()
		})
	}
	return out, g.Wait()
}
