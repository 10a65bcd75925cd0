// Package backend makes a GoMLX backend by name. It never downloads or installs anything and
// never panics: a backend that is missing is ErrUnavailable, a backend that fails to open
// is ErrOpen.
package backend

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/gomlx/gomlx/backends"
	_ "github.com/gomlx/gomlx/backends/simplego" // registers "go"

	_ "trmsweep/internal/cpu" // registers "cpu"
	"trmsweep/internal/pjrt"
)

// ErrUnavailable says that this program or this machine does not have the backend.
var ErrUnavailable = errors.New("backend not available")

// ErrOpen says that the backend exists but did not open. Its device may be busy or
// missing for a while, so a retry may help.
var ErrOpen = errors.New("backend did not open")

// errNoAnswer says that a plugin neither opened nor failed in time.
var errNoAnswer = errors.New("no answer")

// MaxThreads is more than any host has cores. A greater number is a typing error and would cost minutes of starting threads.
const MaxThreads = 1024

// patience is the default of Options.Patience.
var patience = 3 * time.Minute

// Info describes a backend that was made.
type Info struct {
	Name        string   `json:"name"`               // name that New accepts; never "auto"
	Plugin      string   `json:"plugin,omitempty"`   // path of the PJRT plugin
	API         string   `json:"pjrt_api,omitempty"` // the plugin's version of the PJRT API
	Description string   `json:"description"`        // includes the plugin's version
	Arithmetic  string   `json:"arithmetic"`         // everything that decides the last bit: runs with equal values are bit-identical
	Skipped     []string `json:"passed,omitempty"`   // installed backends that "auto" could not open, with the reasons
	Devices     int      `json:"devices"`
	DeviceNames []string `json:"device_names"`
}

// Names returns the names that this program knows. The plugin of a known name need not be installed.
func Names() []string {
	names := []string{"auto"}
	if registered("xla") {
		names = append(names, "xla:tpu", "xla:cuda", "xla:cpu", "xla:/absolute/path/plugin.so")
	}
	if registered("cpu") {
		names = append(names, "cpu")
	}
	return append(names, "go")
}

func registered(name string) bool { return slices.Contains(backends.List(), name) }

// Options are the options of Open. The zero value is valid.
type Options struct {
	// Threads limits the number of threads of the whole process, because no backend accepts
	// a number of its own; <= 0 leaves the number to the backend.
	Threads int
	// Patience is the longest time to wait for a plugin to open its devices, busy ones included; 0 = 3 minutes.
	Patience time.Duration
	// Waits hears why the device is waited for, and a nil error when that is over; it may be nil.
	Waits func(error)
	// Cache stores the programs that XLA compiles for later processes; nil = every process compiles.
	Cache *pjrt.Cache
	// Compiled is called for every program of XLA that is ready, from several goroutines; it may be nil.
	Compiled func(pjrt.Compiled)
}

// New is Open with the number of threads as the only option.
func New(name string, threads int) (backends.Backend, Info, error) {
	return Open(context.Background(), name, Options{Threads: threads})
}

// Open makes the backend with this name. "auto" opens the first of xla:tpu, xla:cuda, cpu
// and go that can be opened. "go" means go:ops_sequential, because the parallel mode
// deadlocks on one core. Options of an XLA backend follow its name after commas:
// "xla:cpu,devices=4" is a CPU that appears as four devices (the default is one), and
// "xla:cuda,tf32" sets an option of GoMLX. Errors are ErrUnavailable or ErrOpen.
func Open(ctx context.Context, name string, o Options) (backends.Backend, Info, error) {
	if o.Threads > MaxThreads {
		return nil, Info{}, fmt.Errorf("%d threads: want at most %d", o.Threads, MaxThreads)
	}
	if o.Threads > 0 {
		runtime.GOMAXPROCS(o.Threads)
	}
	if name == "auto" || name == "" {
		return first(ctx, o, "xla:tpu", "xla:cuda", "cpu", "go")
	}
	return open(ctx, name, o)
}

// Check returns an error for names that no backend can have. It opens nothing.
func Check(name string) error {
	kind, rest, _ := strings.Cut(name, ":")
	switch {
	case name == "auto" || name == "":
		return nil
	case kind != "go" && kind != "cpu" && kind != "xla":
		return fmt.Errorf("%w: no backend is called %q; known: %s", ErrUnavailable, name, strings.Join(Names(), ", "))
	case !registered(kind):
		return fmt.Errorf("%w: %q is not built into this program; known: %s", ErrUnavailable, name, strings.Join(Names(), ", "))
	case kind == "xla" && rest == "":
		return fmt.Errorf("%w: say which plugin: xla:tpu, xla:cuda, xla:cpu or xla:/absolute/path/plugin.so", ErrUnavailable)
	case kind == "xla":
		if _, err := parseXLA(rest); err != nil {
			return fmt.Errorf("%w: %q: %w", ErrUnavailable, name, err)
		}
	}
	return nil
}

// first opens the first of the names that can be opened. info.Skipped lists the installed ones before it.
func first(ctx context.Context, o Options, names ...string) (b backends.Backend, info Info, err error) {
	var skipped []string
	for _, name := range names {
		if p, ok := findPlugin(strings.TrimPrefix(name, "xla:")); ok && p.NoDevice() != nil {
			skipped = append(skipped, fmt.Sprintf("%q: %v", name, p.NoDevice()))
			continue
		}
		if b, info, err = open(ctx, name, o); err == nil {
			break
		}
		if errors.Is(err, ErrOpen) {
			skipped = append(skipped, err.Error())
		}
	}
	info.Skipped = skipped
	return b, info, err
}

func open(ctx context.Context, name string, o Options) (backends.Backend, Info, error) {
	if err := Check(name); err != nil {
		return nil, Info{}, err
	}
	kind, rest, _ := strings.Cut(name, ":")
	plugin := ""
	construct := func() (backends.Backend, error) { return backends.NewWithConfig(name) }
	switch {
	case name == "go":
		construct = func() (backends.Backend, error) { return backends.NewWithConfig("go:ops_sequential") }
	case kind == "xla":
		x, err := parseXLA(rest)
		if err != nil {
			return nil, Info{}, err
		}
		if plugin, err = locate(x.plugin); err != nil {
			return nil, Info{}, fmt.Errorf("%w: %q: %w", ErrUnavailable, name, err)
		}
		prepareCUDA(plugin)
		construct = func() (backends.Backend, error) { return openXLA(plugin, x, o) }
	}
	b, err := openDevices(ctx, construct, plugin, o)
	if err != nil {
		return nil, Info{}, fmt.Errorf("%w: %q: %w", ErrOpen, name, err)
	}
	info := Info{Name: name, Plugin: plugin, Description: b.Description(), Devices: b.NumDevices()}
	for i := range info.Devices {
		info.DeviceNames = append(info.DeviceNames, b.DeviceDescription(backends.DeviceNum(i)))
	}
	if x, ok := b.(interface{ API() string }); ok {
		info.API = x.API()
	}
	info.Arithmetic = arithmetic(b, info)
	return b, info, nil
}

// arithmetic names what decides rounding: the kernels of a processor, or the compiler and the kind of device.
func arithmetic(b backends.Backend, info Info) string {
	if a, ok := b.(interface{ Arithmetic() string }); ok {
		return a.Arithmetic()
	}
	return "go " + runtime.GOARCH
}

// locate returns the file of a plugin that is given by name or by path.
func locate(which string) (string, error) {
	if filepath.IsAbs(which) {
		return which, checkPlugin(which)
	}
	p, ok := findPlugin(which)
	if !ok {
		return "", missing(which)
	}
	return p.Path, p.Err
}

// patiently opens a backend in its own goroutine, because a plugin may hang on a device that
// another process uses. It does not wait for a hanging goroutine to end.
func patiently(ctx context.Context, construct func() (backends.Backend, error), wait time.Duration) (backends.Backend, error) {
	type answer struct {
		b   backends.Backend
		err error
	}
	got := make(chan answer, 1)
	go func() {
		var a answer
		defer func() {
			if p := recover(); p != nil {
				a.b, a.err = nil, fmt.Errorf("it panicked: %v", p)
			}
			got <- a
		}()
		a.b, a.err = construct()
		if a.err == nil && a.b == nil {
			a.err = errors.New("it returned nothing")
		}
	}()
	select {
	case a := <-got:
		return a.b, a.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-time.After(wait):
		return nil, fmt.Errorf("%w within %s; another process may hold the device", errNoAnswer, wait.Round(time.Second))
	}
}
