package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	tlog "go.temporal.io/server/common/log"
	"go.temporal.io/server/common/log/tag"
	"golang.org/x/sys/unix"
)

// ready is the content of STATE/devstack.json. The file exists while a stack runs, and after one was killed.
type ready struct {
	Temporal string `json:"temporal"` // host:port
	UI       string `json:"ui"`       // URL
	GCS      string `json:"gcs"`      // URL
	PID      int    `json:"pid"`
	State    string `json:"state"` // absolute path of the folder: a copy of the folder is another one
}

func readyPath(state string) string { return filepath.Join(state, "devstack.json") }
func logPath(state string) string   { return filepath.Join(state, "logs", "devstack.log") }

// writeFile replaces a file atomically and durably. This module requires little beside the server, so it does
// without github.com/google/renameio.
func writeFile(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(append(data, '\n'))
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(f.Name(), path)
}

// lockState makes this process the only stack on the folder. The lock is released when the process ends.
// internal/localstack of the main module tests this lock; its code is not used here, so that this module does not
// require the main one.
func lockState(state string) (func(), error) {
	path := filepath.Join(state, "devstack.lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		who := ""
		var r ready
		if data, e := os.ReadFile(readyPath(state)); e == nil && json.Unmarshal(data, &r) == nil {
			who = fmt.Sprintf(" (pid %d, Web UI %s)", r.PID, r.UI)
		}
		return nil, fmt.Errorf("a stack already runs on %s%s: use that one, stop it, or give this one another --state", state, who)
	}
	return func() { _ = f.Close() }, nil
}

// openLog opens STATE/logs/devstack.log for the logs of the server and of the libraries.
func openLog(state, level string) (tlog.Logger, error) {
	switch level {
	case "debug", "info", "warn", "error":
	default:
		return nil, usageError{fmt.Errorf("--log-level %s: want debug, info, warn or error", level)}
	}
	path := logPath(state)
	if st, err := os.Stat(path); err == nil && st.Size() > 32<<20 {
		_ = os.Rename(path, path+".old")
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	log.SetOutput(f)
	return loudLogger{tlog.NewZapLogger(tlog.BuildZapLogger(tlog.Config{Level: level, OutputFile: path})), os.Stderr, path, startAgain}, nil
}

// loudLogger also prints a fatal message to standard error.
type loudLogger struct {
	tlog.Logger
	stderr  io.Writer
	path    string
	restart func() error // restarts the process; returns only if that fails
}

// Fatal ends the process. If another program has taken a port that was free when it was
// chosen, the process restarts itself with other ports instead.
func (l loudLogger) Fatal(msg string, tags ...tag.Tag) {
	for _, t := range tags {
		if err, ok := t.Value().(error); ok {
			msg += ": " + err.Error()
		} else if t.Key() == "error" {
			msg += fmt.Sprintf(": %v", t.Value())
		}
	}
	if strings.Contains(msg, unix.EADDRINUSE.Error()) { // tags contain errors as text
		l.Logger.Warn("starting again with other ports", tag.NewStringTag("reason", msg))
		msg += fmt.Sprintf("; %v", l.restart())
	}
	fmt.Fprintf(l.stderr, "devstack: %s (log: %s)\n", msg, l.path)
	l.Logger.Fatal(msg, tags...)
}

// ports are the ports of the three services; 0 means not chosen.
type ports struct{ temporal, ui, gcs int }

// previousPorts returns the ports of a stack that was killed on this folder, so that
// clients that still run find the next stack at the same addresses.
func previousPorts(state string) ports {
	var r ready
	data, err := os.ReadFile(readyPath(state))
	if err != nil || json.Unmarshal(data, &r) != nil {
		return ports{}
	}
	return ports{portOf(r.Temporal), portOf(r.UI), portOf(r.GCS)}
}

func portOf(address string) int {
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		address = u.Host
	}
	n, err := strconv.Atoi(address[strings.LastIndexByte(address, ':')+1:])
	if err != nil {
		return 0
	}
	return n
}

// listeners keep the ports of the three services occupied from the moment they are chosen.
type listeners struct{ temporal, ui, gcs net.Listener }

func (l listeners) ports() ports {
	return ports{portOfListener(l.temporal), portOfListener(l.ui), portOfListener(l.gcs)}
}

func portOfListener(l net.Listener) int {
	if l == nil {
		return 0
	}
	return l.Addr().(*net.TCPAddr).Port
}

// listen chooses every port: the one that the user named (an error if it is taken), else the
// previous one, else the usual one, else any free one.
func listen(o options, previous ports) (listeners, error) {
	usual := ports{7233, 8233, 4443}
	if o.freePorts {
		usual = ports{}
	}
	var l listeners
	var err error
	if l.gcs, err = listenOne(o.ip, "gcs-port", o.ports.gcs, previous.gcs, usual.gcs); err != nil || o.storageOnly {
		return l, err
	}
	if l.temporal, err = listenOne(o.ip, "temporal-port", o.ports.temporal, previous.temporal, usual.temporal); err != nil {
		return l, err
	}
	l.ui, err = listenOne(o.ip, "ui-port", o.ports.ui, previous.ui, usual.ui)
	return l, err
}

func listenOne(ip, flagName string, asked int, others ...int) (net.Listener, error) {
	on := func(port int) (net.Listener, error) {
		return net.Listen("tcp", net.JoinHostPort(ip, strconv.Itoa(port)))
	}
	if asked != 0 {
		l, err := on(asked)
		if errors.Is(err, unix.EADDRINUSE) {
			return nil, fmt.Errorf("--%s %d: the port is taken; choose another or leave the flag out", flagName, asked)
		}
		if err != nil {
			return nil, fmt.Errorf("--%s %d: %w", flagName, asked, err)
		}
		return l, nil
	}
	for _, port := range others {
		if port == 0 {
			continue
		}
		if l, err := on(port); err == nil {
			return l, nil
		}
	}
	l, err := on(0)
	if err != nil {
		return nil, fmt.Errorf("find a free port on %s: %w", ip, err)
	}
	return l, nil
}

// freePorts returns different ports that were free at the time of the call.
func freePorts(ip string, n int) ([]int, error) {
	var found []int
	for range n {
		l, err := net.Listen("tcp", net.JoinHostPort(ip, "0"))
		if err != nil {
			return nil, fmt.Errorf("find a free port on %s: %w", ip, err)
		}
		defer l.Close() // stays open until all ports are found
		found = append(found, portOfListener(l))
	}
	return found, nil
}

// attemptVariable is the environment variable that counts the restarts of this process.
const attemptVariable = "TRMSWEEP_DEVSTACK_ATTEMPT"

func attempt() int {
	n, _ := strconv.Atoi(os.Getenv(attemptVariable))
	return n
}

// startAgain replaces the process by a new one with the same arguments, which chooses its
// ports anew. It returns only if that fails.
func startAgain() error {
	const most = 5
	if attempt() == most {
		return fmt.Errorf("%d starts found their ports taken", most)
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("start again: %w", err)
	}
	if err := os.Setenv(attemptVariable, strconv.Itoa(attempt()+1)); err != nil {
		return err
	}
	return fmt.Errorf("start again: %w", unix.Exec(self, os.Args, os.Environ()))
}
