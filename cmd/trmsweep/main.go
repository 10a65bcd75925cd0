// Command trmsweep runs the study of the Tiny Recursive Model: it plans,
// trains, evaluates and reports, alone or as a worker of Temporal.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := interruptible()
	code := execute(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// interruptible is a context that SIGINT and SIGTERM end. From then on a second
// Ctrl-C kills; SIGTERM may come twice, from a service manager and from the worker.
func interruptible() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		signal.Reset(os.Interrupt) // before anybody is told to stop
		cancel()
	}()
	return ctx, cancel
}
