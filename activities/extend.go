package activities

import (
	"context"
	"errors"
	"fmt"

	"go.temporal.io/sdk/temporal"

	"trmsweep/internal/checkpoint"
	"trmsweep/internal/protocol"
)

// ExtendInput asks for an experiment to go on to more epochs.
type ExtendInput struct {
	Item   Item `json:"item"`
	Epochs int  `json:"epochs"` // in all
}

// ForkInput hands the last checkpoint of one run to another that has none.
type ForkInput struct {
	From Item `json:"from"`
	To   Item `json:"to"`
}

// Extend plans the item that goes on from another with more epochs, as a run of
// its own. Only if no earlier step would have been different: a learning rate that
// depends on the length of the run is refused.
func (a *Activities) Extend(ctx context.Context, in ExtendInput) (Item, error) {
	ctx, _, stop := a.withHeartbeats(ctx)
	defer stop()
	refuse := func(format string, args ...any) error {
		return temporal.NewNonRetryableApplicationError(in.Item.ID+": "+fmt.Sprintf(format, args...), ErrConfig, nil)
	}
	s, err := a.readSpec(ctx, in.Item.SpecKey)
	if err != nil {
		return Item{}, err
	}
	if in.Epochs <= s.Epochs {
		return Item{}, refuse("it has %d epochs already; more than that are needed", s.Epochs)
	}
	if s.LRMinRatio != 1 {
		return Item{}, refuse("its learning rate falls towards the end of its %d epochs, so a longer run is another run from the first step; "+
			"start it with --set epochs=%d", s.Epochs, in.Epochs)
	}
	s.Epochs = in.Epochs
	if err := s.Validate(); err != nil {
		return Item{}, refuse("%v", err)
	}
	s.Name, s.Phase, s.Reference = fmt.Sprintf("%s_%d_epochs", in.Item.Experiment, in.Epochs), in.Item.Phase, in.Item.Reference
	it, err := a.itemOf(ctx, s, in.Item.ID != in.Item.Experiment)
	if err != nil {
		return Item{}, err
	}
	return it, a.putSpec(ctx, it.SpecKey, s)
}

// Fork makes the newest checkpoint of one run the first of another. It leaves a run alone that has one.
func (a *Activities) Fork(ctx context.Context, in ForkInput) error {
	ctx, _, stop := a.withHeartbeats(ctx)
	defer stop()
	from, err := a.runOf(in.From.Run)
	if err != nil {
		return err
	}
	to, err := a.runOf(in.To.Run)
	if err != nil {
		return err
	}
	begun, err := checkpoint.Begun(ctx, to)
	if err != nil {
		return fmt.Errorf("look at run %s: %w", in.To.Run, err)
	}
	if begun {
		return nil
	}
	ck, err := checkpoint.Load(ctx, from, func(h checkpoint.Head) (checkpoint.Entry, error) {
		if len(h.Entries) == 0 {
			msg := fmt.Sprintf("run %s of %s has no checkpoint to go on from", in.From.Run, in.From.ID)
			return checkpoint.Entry{}, temporal.NewNonRetryableApplicationError(msg, ErrFinal, nil)
		}
		return h.Entries[len(h.Entries)-1], nil
	})
	var none *temporal.ApplicationError
	if errors.As(err, &none) {
		return err
	}
	if err != nil {
		return fmt.Errorf("read the checkpoint of run %s: %w", in.From.Run, err)
	}
	log, err := checkpoint.ReadMetrics(ctx, from, ck.Manifest)
	if err != nil {
		return fmt.Errorf("read the log of run %s: %w", in.From.Run, err)
	}
	s, err := a.readSpec(ctx, in.To.SpecKey)
	if err != nil {
		return err
	}
	if err := protocol.WriteSpec(ctx, to, s); err != nil {
		return err
	}
	w, err := checkpoint.Acquire(ctx, to, checkpoint.Owner{Host: a.Host})
	if err != nil {
		return fmt.Errorf("acquire run %s: %w", in.To.Run, err)
	}
	meta := ck.Manifest.Meta
	meta.ConfigHash, meta.Final = in.To.SpecHash, false
	snap := checkpoint.Snapshot{Step: ck.Step, State: ck.State, Shards: s.GradientShards, Meta: meta, MetricsJSONL: log}
	if _, err := w.Save(ctx, snap); err != nil {
		return fmt.Errorf("save the first checkpoint of run %s: %w", in.To.Run, err)
	}
	return nil
}
