//go:build cgo && (linux || darwin)

package pjrt

/*
#include "table.h"
*/
import "C"

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"time"
	"unsafe"
)

// trmsweepCompile replaces PJRT_Client_Compile. If anything fails here, it calls the plugin's own function.
//
//export trmsweepCompile
func trmsweepCompile(slot C.int, args *C.PJRT_Client_Compile_Args) (e *C.PJRT_Error) {
	answered := false
	func() {
		defer unharmed("compile a program")
		e = slots[slot].Load().compile(args)
		answered = true
	}()
	if !answered {
		return C.trm_compile(slot, args)
	}
	return e
}

// job is one program to compile.
type job struct {
	plugin   *Plugin
	client   *Client
	args     *C.PJRT_Client_Compile_Args
	code     []byte // result of Finish
	loadOnly bool   // see Module.LoadOnly
	key      string // key in the cache
	begin    time.Time
}

func (p *Plugin) compile(args *C.PJRT_Client_Compile_Args) *C.PJRT_Error {
	p.mu.Lock()
	client := p.clients[args.client]
	p.mu.Unlock()
	given := C.GoBytes(unsafe.Pointer(args.program.code), C.int(args.program.code_size))
	j := job{plugin: p, client: client, args: args, begin: time.Now()}
	j.code, j.loadOnly = finish(given)
	if client == nil || client.settings.Cache == nil {
		return j.compile()
	}
	format := C.GoStringN(args.program.format, C.int(args.program.format_size))
	options := C.GoBytes(unsafe.Pointer(args.compile_options), C.int(args.compile_options_size))
	var err error
	if j.key, err = client.key(format, j.code, options); err != nil {
		client.settings.Cache.log.Warn("compiled programs are not kept", "error", err)
		return j.compile()
	}
	cache := client.settings.Cache
	defer cache.lock(j.key)() // one goroutine compiles, the others load its program
	fresh := dumps(os.Getenv)
	if !fresh && j.load() {
		return nil
	}
	if j.loadOnly {
		return j.compile()
	}
	release, waited := cache.alone(j.key)
	defer release()
	if !fresh && waited && j.load() {
		return nil
	}
	e := j.compile()
	if e == nil {
		j.save()
	}
	return e
}

// key hashes everything that decides the result of the compiler.
func (c *Client) key(format string, code, options []byte) (string, error) {
	sum, err := c.plugin.SHA256(c.settings.Cache)
	if err != nil {
		return "", err
	}
	parts := []any{
		cacheFormat, format, code, options, sum, c.plugin.Major, c.plugin.Minor,
		c.Platform, c.Version, c.Devices, c.Kinds, flags(os.Getenv),
	}
	if c.Platform == "cpu" {
		cpu := thisProcessor()
		parts = append(parts, runtime.GOOS, cpu.model, cpu.features, runtime.NumCPU(), c.settings.Pool)
	}
	h := sha256.New()
	for _, part := range parts {
		text, ok := part.([]byte)
		if !ok {
			text = fmt.Append(nil, part)
		}
		fmt.Fprintf(h, "%d\n", len(text))
		h.Write(text)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// compile lets the plugin compile the program, unless it may only be loaded.
func (j *job) compile() *C.PJRT_Error {
	if j.loadOnly {
		return C.trm_error_not_cached()
	}
	e := C.trm_compile_code(j.plugin.slot, j.args, chars(j.code), C.size_t(len(j.code)))
	if e == nil {
		j.plugin.try(j.args.executable, nil) // a program that was freed may have had the same address
		memory, _ := j.memory(j.args.executable)
		j.tell(FromCompiler, memory)
	}
	return e
}

// load takes the program from the cache. If it returns false, the program must be compiled.
func (j *job) load() bool {
	cache := j.client.settings.Cache
	found := cache.get(j.key)
	if found == nil {
		return false
	}
	defer cache.loading(j.key)()
	lived, err := cache.trying(j.key, found.hash)
	if err != nil {
		cache.log.Warn("a compiled program is not loaded: a mark that it is could not be made", "error", err)
		return false
	}
	defer lived()
	var loaded *C.PJRT_LoadedExecutable
	if err := j.plugin.err(C.trm_load(j.plugin.slot, j.args.client, chars(found.program), C.size_t(len(found.program)), &loaded)); err != nil {
		cache.drop(j.key, fmt.Errorf("the plugin refuses it: %w", err))
		return false
	}
	memory, err := j.memory(loaded)
	if err != nil { // go-xla asks for the memory figures too
		C.trm_unload(j.plugin.slot, loaded)
		cache.drop(j.key, fmt.Errorf("the plugin says nothing of its memory: %w", err))
		return false
	}
	j.args.executable = loaded
	j.plugin.try(loaded, &trial{cache, j.key, found.hash})
	j.tell(found.from, memory)
	return true
}

// save stores the compiled program in the cache. If the plugin cannot serialize, that is logged once.
func (j *job) save() {
	defer unharmed("keep a compiled program")
	cache := j.client.settings.Cache
	var b C.trm_bytes
	err := j.plugin.err(C.trm_serialize(j.plugin.slot, j.args.executable, &b))
	defer C.trm_free(unsafe.Pointer(b.data))
	switch {
	case err != nil:
		j.client.mute.Do(func() {
			cache.log.Info("this plugin cannot hand out compiled programs: every start compiles", "plugin", j.plugin.Path, "error", err)
		})
	case b.size > 0:
		cache.put(j.key, unsafe.Slice((*byte)(unsafe.Pointer(b.data)), int(b.size)))
	}
}

// chars passes bytes to a C function for the duration of the call.
func chars(b []byte) *C.char { return (*C.char)(unsafe.Pointer(unsafe.SliceData(b))) }

var moduleName = regexp.MustCompile(`^\s*module @(\w+)`)

// memory asks the compiler for the memory that a program needs.
func (j *job) memory(loaded *C.PJRT_LoadedExecutable) (Memory, error) {
	var m C.trm_memory
	err := j.plugin.err(C.trm_memory_of(j.plugin.slot, loaded, &m))
	return Memory{
		Code:      int64(m.code),
		Arguments: int64(m.arguments),
		Outputs:   int64(m.outputs),
		Alias:     int64(m.alias),
		Temporary: int64(m.temporary),
	}, err
}

// tell calls Settings.Compiled.
func (j *job) tell(from string, memory Memory) {
	if j.client == nil || j.client.settings.Compiled == nil {
		return
	}
	defer unharmed("tell of a program")
	done := Compiled{From: from, Key: j.key, Seconds: time.Since(j.begin).Seconds(), Memory: memory}
	if m := moduleName.FindSubmatch(j.code[:min(len(j.code), 1000)]); m != nil {
		done.Program = string(bytes.Clone(m[1]))
	}
	j.client.settings.Compiled(done)
}
