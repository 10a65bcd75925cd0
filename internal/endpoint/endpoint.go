// Package endpoint decides which Temporal server a program talks to. What comes
// first in this list and is given wins, and is never replaced by what follows:
//
//  1. flags that name a server: --address, or --profile of Temporal's client configuration
//  2. --state: the stack that runs on the folder, with nothing of the environment
//  3. the environment: TEMPORAL_ADDRESS and the other variables of Temporal's
//     clients, and their configuration file
//  4. the stack on the folder that TRMSWEEP_STATE names, or on the default one
//  5. 127.0.0.1:7233, where nothing was said at all
//
// It never connects.
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

// ErrNoStack: the folder that was chosen has no running stack.
var ErrNoStack = errors.New("no stack runs on")

// ErrSettings: flags or environment do not name a server; another attempt finds the same.
var ErrSettings = errors.New("Temporal's client settings")

// Stack is devstack.json: where the running embedded stack listens.
type Stack struct {
	Temporal string `json:"temporal"` // host:port
	UI       string `json:"ui"`       // URL
	GCS      string `json:"gcs"`      // URL
	PID      int    `json:"pid"`
}

// ReadStack reads the state folder's devstack.json; fs.ErrNotExist where no stack was started.
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
	return s, nil
}

// gone reports that the process which wrote the address has ended.
func (s Stack) gone() bool {
	return s.PID > 0 && errors.Is(syscall.Kill(s.PID, 0), syscall.ESRCH)
}

// Choice is what was said about the server.
type Choice struct {
	Address   string // flag
	Profile   string // flag, of Temporal's client configuration
	Namespace string // flag
	State     string // the state folder
	StateFlag bool   // it was given as a flag
	StateEnv  bool   // it was given by TRMSWEEP_STATE
	// Embedded: only the stack of State will do, whatever the environment says.
	Embedded bool
	// OwnState: State is where the program keeps its files as well, so that without
	// a stack on it the environment may name the server.
	OwnState bool
}

// Endpoint is a server and how to reach it.
type Endpoint struct {
	client.Options
	From  string // what named it, for people
	Stack Stack  // of the state folder, where that is the server
}

// String says where a command acts.
func (e Endpoint) String() string {
	return fmt.Sprintf("%s, namespace %s (%s)", e.HostPort, e.Namespace, e.From)
}

// Waits reports whether a stack that is missing now may be about to come back: one
// that was killed, and the one that a worker was started for.
func (c Choice) Waits(err error) bool {
	comes := c.Embedded || c.OwnState || !errors.Is(err, fs.ErrNotExist)
	return comes && errors.Is(err, ErrNoStack)
}

// Resolve finds the server. A stack may come back at another port: ask again at every try to connect.
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

// stack is the server of the stack that runs on the state folder.
func (c Choice) stack(opts client.Options) (Endpoint, error) {
	s, err := ReadStack(c.State)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Endpoint{}, fmt.Errorf("%w %s: %w; `trmsweep up --state %s` starts one", ErrNoStack, c.State, fs.ErrNotExist, c.State)
	case err != nil:
		return Endpoint{}, err
	case s.gone():
		return Endpoint{}, fmt.Errorf("%w %s: its process %d has ended; `trmsweep up --state %s` starts one", ErrNoStack, c.State, s.PID, c.State)
	case s.Temporal == "":
		return Endpoint{}, fmt.Errorf("%w %s: its devstack.json names no Temporal server", ErrNoStack, c.State)
	}
	opts.HostPort = s.Temporal
	return Endpoint{Options: opts, From: "the stack of " + c.State, Stack: s}, nil
}

// source names what in the environment gave the address.
func (c Choice) source() string {
	switch {
	case c.Profile != "":
		return "profile " + c.Profile
	case os.Getenv("TEMPORAL_ADDRESS") != "":
		return "TEMPORAL_ADDRESS"
	}
	return "Temporal's client configuration file"
}

// Environment names what the environment says of a Temporal server, empty where that is nothing.
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
