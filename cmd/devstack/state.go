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

// ready is STATE/devstack.json: it exists while a stack is up, and after one was killed.
type ready struct {
	Temporal string `json:"temporal"` // host:port
	UI       string `json:"ui"`       // URL
	GCS      string `json:"gcs"`      // URL
	PID      int    `json:"pid"`
}

func readyPath(state string) string { return filepath.Join(state, "devstack.json") }
func logPath(state string) string   { return filepath.Join(state, "logs", "devstack.log") }

// writeFile replaces a file atomically and durably.
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

// lockState makes this process the only stack on the folder. The lock goes with the process.
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

// openLog sends the server's and the libraries' logs to STATE/logs/devstack.log.
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
	return loudLogger{tlog.NewZapLogger(tlog.BuildZapLogger(tlog.Config{Level: level, OutputFile: path})), os.Stderr, path}, nil
}

// loudLogger says on standard error too what ends the process.
type loudLogger struct {
	tlog.Logger
	stderr io.Writer
	path   string
}

// Fatal ends the process, as the server does where, for example, a port was taken meanwhile.
func (l loudLogger) Fatal(msg string, tags ...tag.Tag) {
	for _, t := range tags {
		if err, ok := t.Value().(error); ok {
			msg += ": " + err.Error()
		} else if t.Key() == "error" {
			msg += fmt.Sprintf(": %v", t.Value())
		}
	}
	fmt.Fprintf(l.stderr, "devstack: %s (log: %s)\n", msg, l.path)
	l.Logger.Fatal(msg, tags...)
}

// ports of the three services; 0 means unset.
type ports struct{ temporal, ui, gcs int }

// previousPorts are those of a stack that was killed on this folder: clients
// that still run find the next one at the same addresses.
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

// choosePorts settles every port: the asked one or an error, else the previous
// one, else the usual one, else any free one.
func choosePorts(ip string, asked, previous ports) (ports, error) {
	taken := map[int]bool{}
	pick := func(flagName string, asked, previous, usual int) (int, error) {
		if asked != 0 {
			if taken[asked] || !free(ip, asked) {
				return 0, fmt.Errorf("--%s %d: the port is taken; choose another or leave the flag out", flagName, asked)
			}
			taken[asked] = true
			return asked, nil
		}
		for _, p := range []int{previous, usual} {
			if p != 0 && !taken[p] && free(ip, p) {
				taken[p] = true
				return p, nil
			}
		}
		for {
			p, err := freePort(ip)
			if err != nil {
				return 0, fmt.Errorf("find a free port on %s: %w", ip, err)
			}
			if !taken[p] {
				taken[p] = true
				return p, nil
			}
		}
	}
	var p ports
	var err error
	if p.temporal, err = pick("temporal-port", asked.temporal, previous.temporal, 7233); err != nil {
		return p, err
	}
	if p.ui, err = pick("ui-port", asked.ui, previous.ui, 8233); err != nil {
		return p, err
	}
	p.gcs, err = pick("gcs-port", asked.gcs, previous.gcs, 4443)
	return p, err
}

func free(ip string, port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort(ip, strconv.Itoa(port)))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

func freePort(ip string) (int, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(ip, "0"))
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
