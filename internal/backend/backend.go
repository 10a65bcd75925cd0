// Package backend makes a GoMLX backend by name. It never downloads, never
// installs and never panics: what is not there is ErrUnavailable, what does not
// open is ErrOpen.
package backend

import (
	"cmp"
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

// ErrUnavailable says that the backend asked for is not in this program or not on this machine.
var ErrUnavailable = errors.New("backend not available")

// ErrOpen says that the backend is there but did not open: its device may be
// busy or gone for the moment, so another attempt may succeed.
var ErrOpen = errors.New("backend did not open")

// errNoAnswer: a plugin neither opened nor failed.
var errNoAnswer = errors.New("no answer")

// MaxThreads is more than any host has cores: a larger number is a slip, and costs minutes of starting threads.
const MaxThreads = 1024

// patience is how long a plugin may take to open its devices where Options do not say.
var patience = 3 * time.Minute

// Info describes a backend that was made.
type Info struct {
	Name        string   `json:"name"`               // as New takes it; never "auto"
	Plugin      string   `json:"plugin,omitempty"`   // path of the PJRT plugin
	API         string   `json:"pjrt_api,omitempty"` // version of PJRT's API that the plugin has
	Description string   `json:"description"`        // with the plugin's version
	Arithmetic  string   `json:"arithmetic"`         // what decides the last bit of a result: two runs are bit-identical only where it is the same
	Skipped     []string `json:"passed,omitempty"`   // backends that "auto" found installed and that did not open, and why
	Devices     int      `json:"devices"`
	DeviceNames []string `json:"device_names"`
}

// Names are the names this program knows; that a name is known does not mean its plugin is installed.
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

// Options say how a backend is opened. The zero value is fine.
type Options struct {
	// Threads <= 0 leaves the number of threads to the backend; otherwise it limits
	// the whole process, since no backend takes the number for itself.
	Threads int
	// Patience is how long a plugin may take to open its devices, a busy one included; 0 = 3 minutes.
	Patience time.Duration
	// Cache keeps what XLA compiles, for the next process; nil compiles everything.
	Cache *pjrt.Cache
	// Compiled is told of every program of XLA that is ready, by several goroutines; nil for nobody.
	Compiled func(pjrt.Compiled)
}

// New is Open without options other than the number of threads.
func New(name string, threads int) (backends.Backend, Info, error) {
	return Open(context.Background(), name, Options{Threads: threads})
}

// Open makes the backend called name. "auto" is the first that opens of xla:tpu,
// xla:cuda, cpu and go. "go" stands for go:ops_sequential: its parallel mode
// deadlocks on one core. Options of a backend of XLA follow its name after
// commas: "xla:cpu,devices=4" is a CPU that is seen as four devices (it is one by
// default), "xla:cuda,tf32" one of GoMLX's options.
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

// Check refuses names that no backend can have, without opening anything.
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

// first opens the first of the names that does open, and says which installed ones before it did not or have no device.
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
	b, err := openDevices(ctx, construct, plugin, cmp.Or(o.Patience, patience))
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

// arithmetic names what rounds: the kernels of a processor, or the compiler and the kind of device.
func arithmetic(b backends.Backend, info Info) string {
	if a, ok := b.(interface{ Arithmetic() string }); ok {
		return a.Arithmetic()
	}
	return "go " + runtime.GOARCH
}

// locate is the file of a plugin given by name or by path.
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

// patiently opens a backend in a goroutine of its own, because a plugin may
// hang on a device that another process holds. One that hangs is left behind.
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
