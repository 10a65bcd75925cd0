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

// interruptible is a context that SIGINT, SIGTERM and SIGHUP (a terminal or an ssh
// session that went away) end; a SIGHUP that was ignored at the start, as by nohup,
// stays ignored. From then on a second Ctrl-C kills; SIGTERM may come twice, from a
// service manager and from the worker.
func interruptible() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(signals, syscall.SIGHUP)
	}
	go func() {
		<-signals
		signal.Reset(os.Interrupt) // before anybody is told to stop
		cancel()
	}()
	return ctx, cancel
}

// diesAtOnce lets signals end the process at once again: for commands that hold
// nothing worth saving and would look for a notice only now and then.
func diesAtOnce() { signal.Reset(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP) }

// unheard lets a command go on when nobody reads its output any more (`| head -1`, a
// viewer that was closed): without it Go ends a process whose standard output is such
// a pipe. Child processes start with the signal as it was.
func unheard(a *app) {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	if a.out != nil {
		a.out.unheard = true
	}
}
