// Package preempt hears from the metadata server of Google Cloud that this machine
// is about to be taken away. A notice is best effort; nothing may depend on one.
// Where there is no metadata server the package is quiet. Signals are the caller's.
package preempt

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"cloud.google.com/go/compute/metadata"
)

// Reasons of a notice.
const (
	Preempted   = "preempted"
	Maintenance = "maintenance"
)

// Notice says that the machine will go away soon: about 30 s on Spot, 120 s otherwise.
type Notice struct {
	Reason string // Preempted or Maintenance
	Detail string
}

// Watch delivers notices until ctx ends; then the channel is closed. It keeps the
// oldest unread ones. GCE_METADATA_HOST replaces the metadata server's address.
func Watch(ctx context.Context) <-chan Notice {
	out := make(chan Notice, 8)
	send := func(reason, detail string) {
		select {
		case out <- Notice{reason, detail}:
		default:
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if !metadata.OnGCEWithContext(ctx) {
			return
		}
		wg.Go(func() {
			subscribe(ctx, "instance/maintenance-event", func(v string) {
				if v == "TERMINATE_ON_HOST_MAINTENANCE" {
					send(Maintenance, v)
				}
			})
		})
		subscribe(ctx, "instance/preempted", func(v string) {
			if strings.EqualFold(v, "TRUE") {
				send(Preempted, "instance/preempted = "+v)
			}
		})
	})
	go func() {
		<-ctx.Done()
		wg.Wait()
		close(out)
	}()
	return out
}

// subscribe hears of every change of a value and of its state at the start, through outages of the server.
func subscribe(ctx context.Context, suffix string, hear func(string)) {
	last := ""
	for pause := 100 * time.Millisecond; ctx.Err() == nil; pause = min(2*pause, 10*time.Second) {
		err := metadata.SubscribeWithContext(ctx, suffix, func(ctx context.Context, v string, ok bool) error {
			if v = strings.TrimSpace(v); ok && v != last {
				last = v
				hear(v)
			}
			if !ok {
				return fmt.Errorf("%s is not defined here", suffix)
			}
			pause = 100 * time.Millisecond
			return nil
		})
		if ctx.Err() != nil {
			return
		}
		slog.Debug("watch metadata", "value", suffix, "error", err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}
