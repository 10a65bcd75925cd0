// Command devstack runs everything that a study needs besides workers in one process: a
// Temporal server with its history in a SQLite file, its Web UI, and a Google Cloud
// Storage emulator with its objects on disk. All state lies in one folder and survives
// kill -9. It is a nested module because the Temporal server triples build time and
// size; of the main module's packages it requires only internal/guard.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"trmsweep/internal/guard"
)

// usageError is an error in the user's command line: exit code 2.
type usageError struct{ error }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := execute(ctx, os.Args[1:])
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return
	}
	fmt.Fprintf(os.Stderr, "devstack: %v\n", err)
	if u := (usageError{}); errors.As(err, &u) {
		os.Exit(2)
	}
	os.Exit(1)
}

// options are the values of the flags.
type options struct {
	state, ip, logLevel string
	ports               ports
	freePorts           bool
	attributes          attributeList
	guard               *guard.Guard
	dieWithParent       bool
	storageOnly         bool
}

func execute(ctx context.Context, args []string) error {
	o := options{attributes: defaultAttributes()}
	fs := flag.NewFlagSet("devstack", flag.ContinueOnError)
	fs.StringVar(&o.state, "state", envOr("TRMSWEEP_STATE", ".trmsweep"), "folder of all state (environment TRMSWEEP_STATE)")
	fs.StringVar(&o.ip, "ip", "127.0.0.1", "address to listen on")
	fs.IntVar(&o.ports.temporal, "temporal-port", 0, "port of Temporal (0 = 7233, or a free one when taken)")
	fs.IntVar(&o.ports.ui, "ui-port", 0, "port of the Web UI (0 = 8233, or a free one when taken)")
	fs.IntVar(&o.ports.gcs, "gcs-port", 0, "port of the storage emulator (0 = 4443, or a free one when taken)")
	fs.BoolVar(&o.freePorts, "free-ports", false, "take free ports where none is named, instead of the usual ones")
	var names []string
	const allowHost = "host `name` under which the Web UI and the storage may be addressed, beside localhost, 127.0.0.1 and [::1], " +
		"as through a tunnel (repeatable)"
	fs.Func("allow-host", allowHost, func(name string) error {
		names = append(names, name)
		return nil
	})
	fs.StringVar(&o.logLevel, "log-level", "warn", "least level that goes to STATE/logs/devstack.log: debug, info, warn, error")
	fs.Var(&o.attributes, "search-attribute", "Name=Type to register beside the built-in ones (repeatable)")
	fs.BoolVar(&o.dieWithParent, "die-with-parent", false, "stop when the process that started this one is gone")
	fs.BoolVar(&o.storageOnly, "storage-only", false, "serve the objects alone, and print the address as a JSON line when they can be read")
	list := fs.Bool("list-search-attributes", false, "print the search attributes as Name=Type lines and exit")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return usageError{err}
	}
	if fs.NArg() > 0 {
		return usageError{fmt.Errorf("unexpected argument %q; devstack takes flags only, see `devstack -help`", fs.Arg(0))}
	}
	var err error
	if o.guard, err = guard.New(names...); err != nil {
		return usageError{err}
	}
	if *list {
		fmt.Println(strings.ReplaceAll(o.attributes.String(), ",", "\n"))
		return nil
	}
	return run(ctx, o)
}

// run starts the stack, writes devstack.json and waits until ctx ends.
func run(ctx context.Context, o options) error {
	state, err := filepath.Abs(o.state)
	if err != nil {
		return fmt.Errorf("--state %s: %w", o.state, err)
	}
	if err := os.MkdirAll(filepath.Join(state, "logs"), 0o755); err != nil {
		return fmt.Errorf("make state folder: %w", err)
	}
	unlock, err := lockState(state)
	if err != nil {
		return err
	}
	defer unlock()
	if o.dieWithParent {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
		go watchParent(ctx, os.Getppid(), cancel)
	}
	logger, err := openLog(state, o.logLevel)
	if err != nil {
		return err
	}
	l, err := listen(o, previousPorts(state))
	if err != nil {
		return err
	}
	s := &stack{ip: o.ip, listeners: l, ports: l.ports(), state: state, attributes: o.attributes, logger: logger, guard: o.guard}
	if o.storageOnly {
		return s.serveStorage(ctx)
	}
	if err := s.start(ctx); err != nil {
		s.stop()
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("%w (log: %s)", err, logPath(state))
	}
	if err := s.announce(); err != nil {
		s.stop()
		return err
	}
	fmt.Printf("Temporal %s   Web UI %s   storage %s   state %s\n", s.temporalAddress(), s.uiAddress(), s.gcsAddress(), state)
	var failed error
	select {
	case <-ctx.Done():
	case failed = <-s.failed:
	}
	_ = os.Remove(readyPath(state))
	done := make(chan struct{})
	go func() { s.stop(); close(done) }()
	select {
	case <-done:
	case <-time.After(3 * time.Second):
		logger.Warn("the server did not stop within 3 s; leaving: its state is safe on disk")
	}
	return failed
}

// watchParent calls stop when the parent process has died.
func watchParent(ctx context.Context, parent int, stop func()) {
	tick := time.NewTicker(300 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if os.Getppid() != parent {
				stop()
				return
			}
		}
	}
}

func envOr(name, def string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return def
}
