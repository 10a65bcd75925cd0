package aot

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"trmsweep/internal/supervise"
)

// request is the input of the child process: one compilation.
type request struct {
	Library  string  `json:"library"`
	Topology string  `json:"topology"`
	Program  Program `json:"program"`
}

// answer is the output of the child process.
type answer struct {
	Compiled
	Stage string `json:"stage,omitempty"` // the stage in which the error occurred
	Error string `json:"error,omitempty"`
}

// Compiler compiles with one libtpu for one topology. Each program is compiled in its own child process.
type Compiler struct {
	Library  string // path of libtpu.so
	Topology Topology
	Command  []string      // command that starts a process that calls Child
	Timeout  time.Duration // limit for one program; 0 = DefaultTimeout
}

// DefaultTimeout is much longer than the largest program of the study takes on a busy machine.
const DefaultTimeout = time.Hour

// Compile compiles one program. A program that does not fit the chip's memory is not an
// error: Compiled.Refused is set. When ctx ends, the child is killed.
func (c Compiler) Compile(ctx context.Context, p Program) (Compiled, error) {
	timeout := c.Timeout
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("the TPU compiler did not end within %s", timeout))
	defer cancel()
	input, err := json.Marshal(request{c.Library, c.Topology.Name, p})
	if err != nil {
		return Compiled{}, fmt.Errorf("ask the TPU compiler: %w", err)
	}
	cmd := exec.CommandContext(ctx, c.Command[0], c.Command[1:]...)
	cmd.Env = append(os.Environ(), c.Topology.environment()...)
	cmd.Stdin = bytes.NewReader(input)
	cmd.WaitDelay = time.Second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	begin := time.Now()
	err = supervise.Tied(cmd, syscall.SIGKILL, cmd.Run)
	switch {
	case ctx.Err() != nil:
		return Compiled{}, context.Cause(ctx)
	case err != nil:
		return Compiled{}, fmt.Errorf("the TPU compiler %s died (%w) after %.0f s; its last words: %s",
			c.Library, err, time.Since(begin).Seconds(), lastWords(errs.String()))
	}
	var a answer
	if err := json.Unmarshal(out.Bytes(), &a); err != nil {
		return Compiled{}, fmt.Errorf("read the TPU compiler's answer %.100q: %w", out.String(), err)
	}
	a.CPUSeconds = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	if a.Error == "" {
		return a.Compiled, nil
	}
	if a.Refused = tooBig(a.Error); a.Refused != nil {
		return a.Compiled, nil
	}
	return Compiled{}, c.explain(a)
}

// Check asks the compiler whether it supports the topology. It takes about a second.
func (c Compiler) Check(ctx context.Context) error {
	_, err := c.Compile(ctx, Program{})
	return err
}

// explain converts an error of the compiler to one that says what to do.
func (c Compiler) explain(a answer) error {
	switch a.Stage {
	case "load":
		return fmt.Errorf("load %s: %s; install it again", c.Library, a.Error)
	case "topology":
		return fmt.Errorf("%w %q: %s says: %s; known are %s", ErrTopology, c.Topology.Name, c.Library, a.Error, knownTopologies())
	}
	return fmt.Errorf("%s with %s for %s: %s", a.Stage, c.Library, c.Topology.Name, a.Error)
}

// lastWords returns the last lines of a dead process's output without the addresses of a stack trace.
func lastWords(stderr string) string {
	var lines []string
	for line := range strings.Lines(stderr) {
		line = strings.TrimSpace(line)
		isTrace := strings.HasPrefix(line, "@") || strings.HasPrefix(line, "PC:") || strings.HasPrefix(line, "https://symbolize")
		if line != "" && !isTrace {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return "none"
	}
	text := strings.Join(lines[:min(3, len(lines))], " | ")
	return text[:min(len(text), 600)]
}

// errNoRequest says that a user started the child process by hand.
var errNoRequest = errors.New("this command is for trmsweep plan --compile-for, which writes a request to its standard input")
