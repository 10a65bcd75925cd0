package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"trmsweep/internal/blob"
	"trmsweep/internal/endpoint"
	"trmsweep/internal/protocol"
)

// Exit codes of every subcommand; train has the others of its protocol too.
const (
	exitOK     = protocol.ExitDone
	exitFailed = protocol.ExitFailed
	exitUsage  = protocol.ExitUsage
	exitSignal = protocol.ExitPreempted // ended by a signal
)

// usageError marks what the user typed or configured as the fault: exit code 2.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// usagef is a usageError made from a format.
func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// exitError carries an exit code of its own and has been reported already when quiet.
type exitError struct {
	code  int
	quiet bool
	err   error
}

func (e exitError) Error() string { return e.err.Error() }
func (e exitError) Unwrap() error { return e.err }

// exitCode prints the error once and chooses the process's exit code.
func exitCode(err error, stderr io.Writer) int {
	if err == nil {
		return exitOK
	}
	var ee exitError
	if errors.As(err, &ee) {
		if !ee.quiet {
			fmt.Fprintf(stderr, "trmsweep: %v\n", err)
		}
		return ee.code
	}
	fmt.Fprintf(stderr, "trmsweep: %v\n", err)
	var ue usageError
	wrongKey := errors.Is(err, blob.ErrKey) // the name of a run or a report
	if errors.As(err, &ue) || wrongKey || errors.Is(err, endpoint.ErrSettings) {
		return exitUsage
	}
	return exitFailed
}

// atLeast refuses numbers of flags that are too small, all at once.
func atLeast(cmd *cobra.Command, least float64, flags ...string) error {
	return between(cmd, least, math.Inf(1), flags...)
}

// between refuses numbers of flags that are too small or too large, all at once.
func between(cmd *cobra.Command, least, most float64, flags ...string) error {
	var faults []error
	for _, name := range flags {
		text := cmd.Flags().Lookup(name).Value.String()
		value, err := strconv.ParseFloat(text, 64)
		if err != nil { // a duration
			d, _ := time.ParseDuration(text)
			value = d.Seconds()
		}
		switch {
		case value >= least && value <= most:
		case math.IsInf(most, 1):
			faults = append(faults, fmt.Errorf("--%s %s: want %g or more", name, text, least))
		default:
			faults = append(faults, fmt.Errorf("--%s %s: want %.0f to %.0f", name, text, least, most))
		}
	}
	if err := errors.Join(faults...); err != nil {
		return usageError{err}
	}
	return nil
}
