package main

import (
	"errors"
	"fmt"
	"io"
)

// Exit codes of every subcommand; train adds the ones of its protocol (internal/train).
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
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
	if errors.As(err, &ue) {
		return exitUsage
	}
	return exitFailed
}
