// Package endpoint decides which Temporal server a program connects to. The first entry of
// this list that is given decides; the entries after it are ignored:
//
//  1. flags that name a server: --address, or --profile of Temporal's client configuration
//  2. --state: the stack that runs on the folder; the environment is ignored
//  3. the environment: TEMPORAL_ADDRESS and the other variables of Temporal's
//     clients, and their configuration file
//  4. the stack on the folder that TRMSWEEP_STATE names, or on the default one
//  5. 127.0.0.1:7233, if nothing is given
//
// The package itself never connects.
package endpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
)

// ErrNoStack says that no stack runs on the chosen state folder.
var ErrNoStack = errors.New("no stack runs on")

// ErrSettings says that flags or environment do not name a server. A retry finds the same.
var ErrSettings = errors.New("Temporal's client settings")

// errCopy is a kind of fs.ErrNotExist: the folder is a copy of one on which a stack was started.
var errCopy = fmt.Errorf("the folder is a copy: %w", fs.ErrNotExist)

// Stack is the content of devstack.json: the addresses of the running embedded stack.
type Stack struct {
	Temporal string `json:"temporal"` // host:port
	UI       string `json:"ui"`       // URL
	GCS      string `json:"gcs"`      // URL
	PID      int    `json:"pid"`
	State    string `json:"state"` // absolute path of the folder
}

// ReadStack reads devstack.json of the state folder. It returns fs.ErrNotExist if no stack was started there,
// also if the folder is a copy of one on which a stack was started.
func ReadStack(stateDir string) (Stack, error) {
	var s Stack
	file := filepath.Join(stateDir, "devstack.json")
	data, err := os.ReadFile(file)
	if err != nil {
		return s, fmt.Errorf("read address of the stack: %w", err)
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return s, fmt.Errorf("read %s: %w", file, err)
	}
	if s.startedElsewhere(stateDir) {
		return s, fmt.Errorf("read %s: %w", file, errCopy)
	}
	return s, nil
}

// startedElsewhere says whether the stack runs on another folder, of which stateDir is a copy. A path that this machine
// does not have is one inside a container.
func (s Stack) startedElsewhere(stateDir string) bool {
	original, err := os.Stat(s.State)
	if err != nil {
		return false
	}
	here, err := os.Stat(stateDir)
	return err == nil && !os.SameFile(original, here)
}

// gone says whether the process that wrote the addresses has ended.
func (s Stack) gone() bool {
	return s.PID > 0 && errors.Is(syscall.Kill(s.PID, 0), syscall.ESRCH)
}

// Choice holds the settings from which Resolve chooses the server.
type Choice struct {
	Address   string // flag
	Profile   string // flag; a profile of Temporal's client configuration
	Namespace string // flag
	State     string // the state folder
	StateFlag bool   // State was set by a flag
	StateEnv  bool   // State was set by TRMSWEEP_STATE
	// Embedded makes the stack of State the only choice, even if the environment names a server.
	Embedded bool
	// OwnState says that State is also the folder of the program's own files. Then, if no
	// stack runs on it, the environment may name the server.
	OwnState bool
}

// Endpoint is a server and the options for connecting to it.
type Endpoint struct {
	client.Options
	From  string // the setting that named the server, for messages
	Stack Stack  // set if the server is the stack of the state folder
}

// String describes the server for messages.
func (e Endpoint) String() string {
	return fmt.Sprintf("%s, namespace %s (%s)", e.HostPort, e.Namespace, e.From)
}

// Waits says whether a missing stack is likely to come back: a stack that was killed, or the
// one that the worker was started for.
func (c Choice) Waits(err error) bool {
	comes := c.Embedded || c.OwnState || !errors.Is(err, fs.ErrNotExist)
	return comes && errors.Is(err, ErrNoStack)
}

// Resolve chooses the server. A stack may come back at another port: call it before every attempt to connect.
func (c Choice) Resolve() (Endpoint, error) {
	e, err := c.resolve()
	if err != nil {
		return e, err
	}
	if c.Namespace != "" {
		e.Namespace = c.Namespace
	}
	if e.Namespace == "" {
		e.Namespace = client.DefaultNamespace
	}
	return e, nil
}

func (c Choice) resolve() (Endpoint, error) {
	if c.Embedded {
		return c.stack(client.Options{})
	}
	named := c.Address != "" || c.Profile != ""
	if c.StateFlag && !named {
		e, err := c.stack(client.Options{})
		if !c.OwnState || !errors.Is(err, fs.ErrNotExist) {
			return e, err
		}
	}
	opts, err := envconfig.LoadClientOptions(envconfig.LoadClientOptionsRequest{ConfigFileProfile: c.Profile})
	if err != nil {
		return Endpoint{}, fmt.Errorf("%w: %w", ErrSettings, err)
	}
	switch {
	case c.Address != "":
		opts.HostPort = c.Address
		return Endpoint{Options: opts, From: "--address"}, nil
	case opts.HostPort != "":
		return Endpoint{Options: opts, From: c.source()}, nil
	case c.Profile != "":
		return Endpoint{}, fmt.Errorf("%w: profile %q has no address; add one to it, or set TEMPORAL_ADDRESS", ErrSettings, c.Profile)
	case c.StateFlag:
		return c.stack(client.Options{})
	case opts.Credentials != nil, opts.ConnectionOptions.TLS != nil:
		return Endpoint{}, fmt.Errorf("%w: the environment has an API key or TLS settings (%s) but no address: "+
			"set TEMPORAL_ADDRESS too, or unset them to use a local stack", ErrSettings, Environment())
	}
	e, err := c.stack(opts)
	if errors.Is(err, fs.ErrNotExist) && !c.StateEnv {
		opts.HostPort = "127.0.0.1:7233"
		return Endpoint{Options: opts, From: "the default"}, nil
	}
	return e, err
}

// stack returns the server of the stack that runs on the state folder.
func (c Choice) stack(opts client.Options) (Endpoint, error) {
	s, err := ReadStack(c.State)
	switch {
	case errors.Is(err, errCopy):
		return Endpoint{}, fmt.Errorf("%w %s: it is a copy of %s, whose stack it does not use: %w; `trmsweep up` starts one", ErrNoStack,
			c.State, s.State, fs.ErrNotExist)
	case errors.Is(err, fs.ErrNotExist):
		return Endpoint{}, fmt.Errorf("%w %s: %w; `trmsweep up` starts one", ErrNoStack, c.State, fs.ErrNotExist)
	case err != nil:
		return Endpoint{}, err
	case s.gone():
		return Endpoint{}, fmt.Errorf("%w %s: its process %d has ended; `trmsweep up` starts one", ErrNoStack, c.State, s.PID)
	case s.Temporal == "":
		return Endpoint{}, fmt.Errorf("%w %s: its devstack.json names no Temporal server", ErrNoStack, c.State)
	}
	opts.HostPort = s.Temporal
	return Endpoint{Options: opts, From: "the stack of " + c.State, Stack: s}, nil
}

// source names the part of the environment that gave the address.
func (c Choice) source() string {
	switch {
	case c.Profile != "":
		return "profile " + c.Profile
	case os.Getenv("TEMPORAL_ADDRESS") != "":
		return "TEMPORAL_ADDRESS"
	}
	return "Temporal's client configuration file"
}

// Environment describes the Temporal settings in the environment; it is empty if there are none.
func Environment() string {
	var names []string
	for _, kv := range os.Environ() {
		name, value, _ := strings.Cut(kv, "=")
		if strings.HasPrefix(name, "TEMPORAL_") && value != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if len(names) > 0 {
		return strings.Join(names, ", ")
	}
	if opts, err := envconfig.LoadDefaultClientOptions(); err == nil && opts.HostPort != "" {
		return "Temporal's client configuration file"
	}
	return ""
}
