//go:build cgo && (linux || darwin)

package pjrt

/*
#cgo linux LDFLAGS: -ldl
#include <stdlib.h>
#include "table.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"

	xla "github.com/gomlx/go-xla/pkg/pjrt"
)

// Plugin is a PJRT plugin that is loaded and registered with go-xla. It stays loaded until the process ends.
type Plugin struct {
	Path         string // absolute, without symbolic links; go-xla's name of the plugin
	Major, Minor int    // version of its API

	slot    C.int
	opening sync.Mutex // held while a client is created
	table   *C.PJRT_Api
	known   bool    // go-xla has registered the plugin; protected by registry
	begun   func()  // called when go-xla has found the plugin; protected by opening
	next    *Client // the client that is being created; protected by opening

	mu      sync.Mutex
	clients map[*C.PJRT_Client]*Client
	trials  map[*C.PJRT_LoadedExecutable]*trial
}

// Client is a plugin's connection to its devices.
type Client struct {
	Platform string   // cpu, tpu, cuda ...
	Version  string   // of the platform, as the plugin reports it
	Devices  int      // number of devices of all processes
	Kinds    []string // kinds of the devices of this process

	plugin   *Plugin
	settings Settings
	created  bool
	mute     sync.Once // for a warning that is logged once
}

// Settings are the settings of a client.
type Settings struct {
	Pool     int            // number of threads of a CPU client, 0 = not known
	Cache    *Cache         // nil = every program is compiled
	Compiled func(Compiled) // is called for every program that is ready; may be nil
}

// registry protects the plugins of this process and go-xla's own map of them, which RegisterPreloadedPlugin writes without a lock.
var (
	registry sync.Mutex
	plugins  = map[string]*Plugin{}
	slots    [C.TRM_SLOTS]atomic.Pointer[Plugin]
)

// Open loads the plugin in a file and registers it with go-xla under Plugin.Path. For a plugin that is open
// already, it returns the same Plugin.
func Open(path string) (*Plugin, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return nil, err
	}
	if strings.Contains(path, ",") {
		return nil, fmt.Errorf("load %s: a comma in a plugin's path would begin options; move the file", path)
	}
	registry.Lock()
	defer registry.Unlock()
	if p := plugins[path]; p != nil {
		return p.registered()
	}
	slot := len(plugins)
	if slot == len(slots) {
		return nil, fmt.Errorf("load %s: this process has %d plugins already", path, slot)
	}
	cPath := C.CString(path)
	defer C.free(unsafe.Pointer(cPath))
	var why *C.char
	real := C.trm_dlopen(cPath, &why)
	if real == nil {
		defer C.free(unsafe.Pointer(why))
		return nil, fmt.Errorf("load %s: %s", path, C.GoString(why))
	}
	p := &Plugin{Path: path, slot: C.int(slot), begun: func() {}, next: &Client{},
		clients: map[*C.PJRT_Client]*Client{}, trials: map[*C.PJRT_LoadedExecutable]*trial{},
		Major: int(real.pjrt_api_version.major_version), Minor: int(real.pjrt_api_version.minor_version)}
	if err := checkVersion(p.Major, p.Minor); err != nil {
		return nil, fmt.Errorf("load %s: %w", path, err)
	}
	p.table = C.trm_table_make(p.slot, real)
	plugins[path] = p
	slots[slot].Store(p)
	return p.registered()
}

// Register registers another function table with go-xla, under a path that starts with a slash.
func Register(path string, table unsafe.Pointer) error {
	registry.Lock()
	defer registry.Unlock()
	return xla.RegisterPreloadedPlugin(path, uintptr(table))
}

// registered registers the plugin with go-xla, which initializes it. If that fails, a later
// call may succeed, because the device may be busy now.
func (p *Plugin) registered() (*Plugin, error) {
	if p.known {
		return p, nil
	}
	if err := xla.RegisterPreloadedPlugin(p.Path, uintptr(unsafe.Pointer(p.table))); err != nil {
		return nil, fmt.Errorf("initialize %s: %w", p.Path, err)
	}
	p.known = true
	return p, nil
}

// NewClient calls open, which must make go-xla create a client of this plugin, and returns a description of that client.
func (p *Plugin) NewClient(settings Settings, open func() error) (*Client, error) {
	p.opening.Lock()
	defer p.opening.Unlock()
	c := &Client{plugin: p, settings: settings}
	p.next = c
	// go-xla reads its map of plugins until it creates the client: no plugin may be registered meanwhile.
	registry.Lock()
	p.begun = sync.OnceFunc(registry.Unlock)
	defer p.begun()
	if err := open(); err != nil {
		return nil, err
	}
	if !c.created {
		return nil, fmt.Errorf("open %s: the plugin's own table was used instead of ours", p.Path)
	}
	return c, nil
}

// SHA256 returns the hash of the plugin's file. The cache (may be nil) stores it for later processes.
func (p *Plugin) SHA256(cache *Cache) (string, error) { return hashFile(p.Path, cache.hashes()) }

// Arithmetic names everything that decides the last bit of a result: the compiler, its
// flags, the device, and for a CPU also its instructions and the number of threads and
// devices, among which sums are divided.
func (c *Client) Arithmetic() (string, error) {
	sum, err := c.plugin.SHA256(c.settings.Cache)
	if err != nil {
		return "", err
	}
	kind := "device"
	if len(c.Kinds) > 0 {
		kind = c.Kinds[0]
	}
	s := fmt.Sprintf("xla %s %s on %s", c.Platform, sum[:12], kind)
	if c.Platform == "cpu" {
		cpu := thisProcessor()
		s += fmt.Sprintf(" %s features %s, pool %d, devices %d", cpu.model, short(cpu.vectors), c.settings.Pool, c.Devices)
	}
	if f := flags(os.Getenv); f != "" {
		s += ", flags " + short(f)
	}
	return s, nil
}

// trmsweepCreate replaces PJRT_Client_Create.
//
//export trmsweepCreate
func trmsweepCreate(slot C.int, args *C.PJRT_Client_Create_Args) *C.PJRT_Error {
	p := slots[slot].Load()
	p.begun()
	if e := C.trm_create(slot, args); e != nil {
		return e
	}
	p.describe(args.client)
	return nil
}

// describe sets the fields of a new client. Fields that the plugin does not report stay empty.
func (p *Plugin) describe(client *C.PJRT_Client) {
	defer unharmed("describe a client")
	c := p.next
	var name, version, kinds C.trm_bytes
	defer func() {
		for _, b := range []C.trm_bytes{name, version, kinds} {
			C.trm_free(unsafe.Pointer(b.data))
		}
	}()
	var all C.size_t
	err := errors.Join(p.err(C.trm_platform(p.slot, client, &name, &version)), p.err(C.trm_devices(p.slot, client, &all, &kinds)))
	if err != nil {
		slog.Debug("a PJRT plugin does not say all of itself", "plugin", p.Path, "error", err)
	}
	c.Platform, c.Version, c.Devices = text(name), text(version), int(all)
	c.Kinds = strings.FieldsFunc(text(kinds), func(r rune) bool { return r == '\n' })
	c.created = true
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clients[client] = c
}

// unharmed recovers from a panic, because a panic that reaches C would end the process.
func unharmed(what string) {
	if r := recover(); r != nil {
		slog.Error("internal error beside a PJRT plugin; the plugin goes on alone", "while", what, "error", r)
	}
}

// err converts an error that the plugin returned and frees it.
func (p *Plugin) err(e *C.PJRT_Error) error {
	if e == nil {
		return nil
	}
	var code C.int
	said := C.trm_error_text(p.slot, e, &code)
	defer C.trm_free(unsafe.Pointer(said))
	return fmt.Errorf("PJRT error %d: %s", code, C.GoString(said))
}

func text(b C.trm_bytes) string { return C.GoStringN(b.data, C.int(b.size)) }
