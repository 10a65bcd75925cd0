//go:build cgo && (linux || darwin)

package pjrt

/*
#include "table.h"
*/
import "C"

// trial is a program that was loaded from a cache and has not been executed yet.
type trial struct {
	cache     *Cache
	key, hash string
}

// try registers a program as a trial; nil removes it. As long as a plugin has no trials, its executions do not pass through this package.
func (p *Plugin) try(loaded *C.PJRT_LoadedExecutable, t *trial) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t == nil {
		delete(p.trials, loaded)
	} else {
		p.trials[loaded] = t
	}
	C.trm_on_trial(p.slot, C.int(len(p.trials)))
}

// trmsweepExecute replaces PJRT_LoadedExecutable_Execute while there are trials.
//
//export trmsweepExecute
func trmsweepExecute(slot C.int, args *C.PJRT_LoadedExecutable_Execute_Args) *C.PJRT_Error {
	end := slots[slot].Load().begin(args.executable)
	if end == nil {
		return C.trm_execute(slot, args)
	}
	var executed C.bool
	e := C.trm_execute_and_wait(slot, args, &executed)
	end(bool(executed))
	return e
}

// begin records the first execution of a trial and returns the function to call at its end; nil for other programs.
func (p *Plugin) begin(loaded *C.PJRT_LoadedExecutable) (end func(executed bool)) {
	defer unharmed("execute a program")
	p.mu.Lock()
	t := p.trials[loaded]
	p.mu.Unlock()
	if t == nil {
		return nil
	}
	lived, err := t.cache.trying(t.key, t.hash)
	if err != nil {
		t.cache.log.Warn("a compiled program is executed without a mark that it is", "key", t.key, "error", err)
		return nil
	}
	return func(executed bool) {
		defer unharmed("end an execution")
		lived()
		if executed { // a failure, for example for lack of memory, says nothing about the program
			t.cache.executed(t.key)
			p.try(loaded, nil)
		}
	}
}
