// Package preempt hears that this machine is about to be taken away.
package preempt

import (
	"context"
	"log/slog"
	"time"
)

// Notice says that the machine will go away soon.
type Notice struct {
	Reason string // "SIGTERM", "preempted", "maintenance"
	Detail string
	At     time.Time
}

// Options of Watch.
type Options struct {
	Logger     *slog.Logger
	NoSignals  bool
	NoMetadata bool
}

// Watch delivers the first notice and any later ones until ctx ends; then the channel is closed.
func Watch(ctx context.Context, o Options) <-chan Notice { panic("soon") }

// Host is this machine's place in a TPU slice.
type Host struct {
	Name, Instance, Pod, AcceleratorType string
	Rank, World                          int
	Addresses                            []string
}

// Identify reads environment and metadata; outside a cloud it is rank 0 of 1. The error says what contradicts.
func Identify(ctx context.Context) (Host, error) { panic("soon") }
