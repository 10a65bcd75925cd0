// Package wait pauses.
package wait

import (
	"context"
	"time"
)

// Sleep pauses for d. It returns early with the cause when ctx ends.
func Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
