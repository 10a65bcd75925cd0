// Package backendtest gives tests the backends that the product runs on: go, cpu and one of XLA. It opens each of them at
// most once in a process.
//
// The backend of XLA is xla:cpu, or the one that TRMSWEEP_TEST_XLA names (xla:cuda, or xla:/absolute/path/plugin.so).
// If it cannot be opened, its tests are skipped, or fail if TRMSWEEP_REQUIRE_XLA=1.
package backendtest

import (
	"cmp"
	"os"
	"sync"
	"testing"

	"github.com/gomlx/gomlx/backends"

	"trmsweep/internal/backend"
)

const (
	requireEnv = "TRMSWEEP_REQUIRE_XLA" // 1: tests of XLA fail instead of being skipped
	chooseEnv  = "TRMSWEEP_TEST_XLA"    // name of the XLA backend to test
)

// Each runs f as a subtest on every backend.
func Each(t *testing.T, f func(t *testing.T, name string)) {
	t.Helper()
	for _, name := range []string{"go", "cpu", xla()} {
		t.Run(name, func(t *testing.T) {
			Open(t, name)
			f(t, name)
		})
	}
}

// XLA returns the name of the XLA backend and opens it. If that is not possible, the test is skipped or fails.
func XLA(t testing.TB) string {
	t.Helper()
	name := xla()
	Open(t, name)
	return name
}

// Open returns the backend with this name, which all tests of the process share. It must not be finalized.
func Open(t testing.TB, name string) backends.Backend {
	t.Helper()
	o := open(name)
	switch {
	case o.err == nil:
	case name != xla() || os.Getenv(requireEnv) == "1":
		t.Fatalf("open backend %s: %v", name, o.err)
	default:
		t.Skipf("NOT RUN on %s (%s=1 makes this a failure): %v", name, requireEnv, o.err)
	}
	return o.backend
}

// Info describes an open backend.
func Info(t testing.TB, name string) backend.Info {
	t.Helper()
	Open(t, name)
	return open(name).info
}

func xla() string { return cmp.Or(os.Getenv(chooseEnv), "xla:cpu") }

type opened struct {
	backend backends.Backend
	info    backend.Info
	err     error
}

var (
	mu    sync.Mutex
	known = map[string]opened{}
)

func open(name string) opened {
	mu.Lock()
	defer mu.Unlock()
	o, ok := known[name]
	if !ok {
		o.backend, o.info, o.err = backend.New(name, 0)
		known[name] = o
	}
	return o
}
