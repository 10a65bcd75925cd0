package train

import (
	"context"
	"fmt"

	"trmsweep/internal/backend"
	"trmsweep/internal/checkpoint"
	"trmsweep/internal/pjrt"
	"trmsweep/internal/trm"
)

// programs opens the backend, builds the model and compiles its programs or loads compiled ones. It goes on beside the rest of the start,
// which tells it the model's configuration as soon as the dataset is open, and waits for it when nothing else is left to do.
type programs struct {
	config chan trm.Config
	ended  chan struct{}

	// What follows is set when ended is closed.
	cache *pjrt.Cache
	info  backend.Info
	model *trm.Model
	err   error
}

// startPrograms starts it. It ends early when ctx does; a compilation cannot be interrupted.
func (r *run) startPrograms(ctx context.Context, there *checkpoint.Manifest) *programs {
	p := &programs{config: make(chan trm.Config, 1), ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		p.err = p.prepare(ctx, r, there)
	}()
	return p
}

// prepare only reads what r has of before.
func (p *programs) prepare(ctx context.Context, r *run, there *checkpoint.Manifest) error {
	name, err := r.backendFor(there)
	if err != nil {
		return err
	}
	p.cache = r.compileCache(name, !r.o.sameBatch) // a trial's store is thrown away
	be, info, err := backend.Open(ctx, name,
		backend.Options{Threads: r.o.Threads, Patience: r.o.DevicePatience, Waits: r.deviceWaits, Cache: p.cache, Compiled: r.compiled})
	if err != nil {
		return r.unopened(name, there, err)
	}
	for _, why := range info.Skipped {
		r.o.Logger.Warn("a backend is installed and does not open; another one trains", "error", why, "backend", info.Name)
	}
	p.info = info
	var config trm.Config
	select {
	case config = <-p.config:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if p.model, err = trm.New(be, config); err != nil {
		return fmt.Errorf("build model of %s: %w", r.spec.Name, err)
	}
	compile := p.model.Prepare
	if there != nil && there.Step >= r.total { // only the result is missing
		compile = p.model.PrepareEval
	}
	if err := compile(ctx, r.spec.EvalBatchSize); err != nil {
		return fmt.Errorf("compile the programs of %s: %w", r.spec.Name, err)
	}
	return nil
}

// wait waits until all programs are ready.
func (p *programs) wait(ctx context.Context) error {
	select {
	case <-p.ended:
		return p.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
