package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/fsouza/fake-gcs-server/fakestorage"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"
	tlog "go.temporal.io/server/common/log"
	"go.temporal.io/server/temporal"

	"trmsweep/internal/guard"
)

const (
	namespace = "default"
	bucket    = "trmsweep"
)

// stack holds the three services of the process.
type stack struct {
	ip         string
	listeners  listeners
	ports      ports // of the listeners
	state      string
	attributes attributeList
	logger     tlog.Logger
	guard      *guard.Guard // in front of every HTTP handler

	temporal temporal.Server
	ui       *http.Server
	gcs      *http.Server
	failed   chan error // a service that ended by itself
}

func (s *stack) hostPort(port int) string { return net.JoinHostPort(s.ip, strconv.Itoa(port)) }

// reachable returns the address for clients on this machine, because 0.0.0.0 is not an address to connect to.
func (s *stack) reachable(port int) string {
	if ip := net.ParseIP(s.ip); ip != nil && ip.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	}
	return s.hostPort(port)
}

func (s *stack) temporalAddress() string { return s.reachable(s.ports.temporal) }
func (s *stack) uiAddress() string       { return "http://" + s.reachable(s.ports.ui) }
func (s *stack) gcsAddress() string      { return "http://" + s.reachable(s.ports.gcs) }

// announce writes STATE/devstack.json. From then on clients may connect.
func (s *stack) announce() error {
	folder, err := filepath.Abs(s.state)
	if err != nil {
		return fmt.Errorf("find the state folder: %w", err)
	}
	return writeFile(readyPath(s.state), ready{
		Temporal: s.temporalAddress(), UI: s.uiAddress(), GCS: s.gcsAddress(), PID: os.Getpid(), State: folder,
	})
}

// start starts the services in order and returns when all of them answer.
func (s *stack) start(ctx context.Context) error {
	s.failed = make(chan error, 3)
	if err := s.startGCS(); err != nil {
		return err
	}
	if err := s.startTemporal(ctx); err != nil {
		return err
	}
	return s.startUI(ctx)
}

// serveStorage runs only the storage emulator until ctx ends. It does not write
// devstack.json: the process that started it reads the address from its output.
func (s *stack) serveStorage(ctx context.Context) error {
	s.failed = make(chan error, 1)
	if err := s.startGCS(); err != nil {
		return err
	}
	defer s.stop()
	fmt.Printf("{\"gcs\": %q}\n", s.gcsAddress())
	select {
	case <-ctx.Done():
		return nil
	case err := <-s.failed:
		return err
	}
}

// startGCS serves the storage emulator with its objects in STATE/gcs.
func (s *stack) startGCS() error {
	emulator, err := fakestorage.NewServerWithOptions(fakestorage.Options{
		NoListener: true, StorageRoot: filepath.Join(s.state, "gcs"), PublicHost: s.ip, ExternalURL: s.gcsAddress(),
	})
	if err != nil {
		return fmt.Errorf("start storage emulator: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(s.state, "gcs", bucket), 0o700); err != nil {
		return fmt.Errorf("create bucket %s: %w", bucket, err)
	}
	s.gcs = s.serve("storage emulator", s.listeners.gcs, guard.Storage(emulator.HTTPHandler()))
	return nil
}

// serve serves the handler, behind the guard, until the server is stopped.
func (s *stack) serve(what string, l net.Listener, h http.Handler) *http.Server {
	server := &http.Server{Handler: s.guard.Handler(h), ReadHeaderTimeout: time.Minute}
	go func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- fmt.Errorf("%s: %w", what, err)
		}
	}()
	return server
}

// startTemporal starts the server and waits until the namespace and its search attributes can be used.
func (s *stack) startTemporal(ctx context.Context) error {
	srv, err := newTemporal(s.state, s.ip, s.listeners.temporal, s.attributes, s.logger)
	if err != nil {
		return err
	}
	if err := srv.Start(); err != nil {
		return fmt.Errorf("start Temporal: %w", err)
	}
	s.temporal = srv
	var c client.Client
	err = until(ctx, "Temporal", func(ctx context.Context) error {
		var err error
		c, err = client.DialContext(ctx, client.Options{HostPort: s.temporalAddress(), Namespace: namespace, Logger: quiet{}})
		return err
	})
	if err != nil {
		return err
	}
	defer c.Close()
	return s.attributes.register(ctx, c, namespace)
}

// startUI serves the Web UI and waits until it answers.
func (s *stack) startUI(ctx context.Context) error {
	h, err := webUI(s.temporalAddress())
	if err != nil {
		return err
	}
	s.ui = s.serve("Web UI", s.listeners.ui, h)
	return until(ctx, "Web UI", func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.uiAddress()+"/healthz", nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("GET /healthz: %s", resp.Status)
		}
		return nil
	})
}

// stop stops the services. It may be called if only some of them were started.
func (s *stack) stop() {
	if s.ui != nil {
		_ = s.ui.Close()
	}
	if s.gcs != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		if s.gcs.Shutdown(ctx) != nil {
			_ = s.gcs.Close()
		}
		cancel()
	}
	if s.temporal != nil {
		if err := s.temporal.Stop(); err != nil {
			s.logger.Warn("stop Temporal: " + err.Error())
		}
	}
}

// quiet drops the log lines of the SDK. Its methods return the errors that matter.
type quiet struct{}

var _ sdklog.Logger = quiet{}

func (quiet) Debug(string, ...any) {}
func (quiet) Info(string, ...any)  {}
func (quiet) Warn(string, ...any)  {}
func (quiet) Error(string, ...any) {}
