//go:build cgo && (linux || darwin)

package backend

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"

	xlapjrt "github.com/gomlx/go-xla/pkg/pjrt"
	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/backends/xla"

	"trmsweep/internal/pjrt"
)

// init keeps GoMLX from downloading plugins: its download has no timeout.
func init() { xla.EnableAutoInstall(false) }

// poolEnv sets the number of threads of the CPU plugin's pool. Sums can depend on it.
const poolEnv = "PJRT_NPROC"

// userPool is the user's value of poolEnv, read before this process sets it.
var userPool = sync.OnceValue(func() string { return os.Getenv(poolEnv) })

// pinPool gives the pool of the next CPU client as many threads as this process may use, and returns the number.
func pinPool() int {
	n, err := strconv.Atoi(userPool())
	if err != nil || n < 1 {
		n = runtime.GOMAXPROCS(0)
		_ = os.Setenv(poolEnv, strconv.Itoa(n))
	}
	return n
}

// xlaBackend is GoMLX's backend on a plugin that package pjrt opened.
type xlaBackend struct {
	*xla.Backend
	api, description, arithmetic string
	cached                       bool // compiled programs are kept
}

// Builder returns the builder of a program. It is an Aliaser.
func (b *xlaBackend) Builder(name string) backends.Builder { return newAliasBuilder(b.Backend, name) }

// CacheOnly returns the backend as one that loads every program from the cache of compiled programs, and fails if it is
// not there. It returns nil if there is no cache. Programs may be built by several goroutines at once.
func (b *xlaBackend) CacheOnly() backends.Backend {
	if !b.cached {
		return nil
	}
	return cacheOnly{b}
}

type cacheOnly struct{ *xlaBackend }

// Builder returns the builder of a program that may only be loaded.
func (b cacheOnly) Builder(name string) backends.Builder {
	builder := newAliasBuilder(b.xlaBackend.Backend, name)
	builder.LoadOnly()
	return builder
}

// API returns the plugin's version of the PJRT API.
func (b *xlaBackend) API() string { return b.api }

func (b *xlaBackend) Description() string { return b.description }

// Arithmetic names the compiler, the device and, on a CPU, everything else that decides how sums are divided.
func (b *xlaBackend) Arithmetic() string { return b.arithmetic }

// openXLA opens the plugin in a file.
func openXLA(path string, x xlaName, o Options) (backends.Backend, error) {
	settings := pjrt.Settings{Cache: o.Cache, Compiled: o.Compiled}
	options := xlapjrt.NamedValuesMap{}
	if x.devices > 0 {
		options["cpu_device_count"] = int64(x.devices)
		settings.Pool = pinPool()
	}
	p, err := pjrt.Open(path)
	if err != nil {
		return nil, err
	}
	b := &xlaBackend{cached: o.Cache != nil}
	client, err := p.NewClient(settings, func() (err error) {
		b.Backend, err = xla.NewWithOptions(p.Path+x.gomlx, options)
		return err
	})
	if err != nil {
		return nil, err
	}
	b.api = fmt.Sprintf("%d.%d", p.Major, p.Minor)
	b.description = fmt.Sprintf("%s through PJRT %s, %s", client.Platform, b.api, p.Path)
	if b.arithmetic, err = client.Arithmetic(); err != nil {
		return nil, err
	}
	return b, nil
}
