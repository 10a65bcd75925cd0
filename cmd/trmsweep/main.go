// Command trmsweep runs the study of the Tiny Recursive Model: it plans,
// trains, evaluates and reports, alone or as a worker of Temporal.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
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
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(signals, syscall.SIGHUP)
	}
	go func() {
		s := <-signals
		signal.Reset(os.Interrupt) // before anybody is told to stop
		cancel(signalled{s})
	}()
	return ctx, func() { cancel(nil) }
}

// signalled is why the context of interruptible has ended.
type signalled struct{ signal os.Signal }

func (s signalled) Error() string {
	name := s.signal.String()
	if n, ok := s.signal.(syscall.Signal); ok {
		name = unix.SignalName(n)
	}
	return "interrupted by " + name
}

func (signalled) Unwrap() error { return context.Canceled }

// interrupted is err, or what is said of a command that a signal has ended: which one, and
// what is kept (empty: nothing needs to be said).
func interrupted(ctx context.Context, err error, kept string) error {
	why := context.Cause(ctx)
	var s signalled
	if !errors.As(why, &s) || !errors.Is(err, context.Canceled) {
		return err
	}
	var said exitError
	if errors.As(err, &said) { // it knows better
		return err
	}
	if kept == "" {
		return exitError{code: exitSignal, err: s}
	}
	return exitError{code: exitSignal, err: fmt.Errorf("%w; %s", s, kept)}
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
