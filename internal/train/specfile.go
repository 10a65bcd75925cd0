package train

import (
	"context"
	"errors"
	"fmt"

	"trmsweep/internal/protocol"
)

// mendSpec writes spec.json again if it is lost, damaged or another run's. The caller has
// compared the run with the spec: every process that may call this writes the same.
func (r *run) mendSpec(ctx context.Context) error {
	there, err := protocol.ReadSpec(ctx, r.runs)
	if err != nil && !errors.Is(err, protocol.ErrNoSpec) {
		return fmt.Errorf("spec of run %s: %w", r.o.Run, err)
	}
	if err == nil && there.Hash() == r.spec.Hash() && there.Seed == r.spec.Seed {
		return nil
	}
	r.o.Logger.Warn("spec.json is lost, damaged or another run's; it is written again", "run", r.o.Run)
	if err := protocol.WriteSpec(ctx, r.runs, r.spec); err != nil {
		return fmt.Errorf("spec of run %s: %w", r.o.Run, err)
	}
	return nil
}
