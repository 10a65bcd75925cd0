package aot

import (
	"context"
	"os"
	"path/filepath"
	"time"
)

// Progress is how far a planner is, told before each compilation and after the last.
type Progress struct {
	Done, Total int           // programs that are not in the cache
	Next        string        // "gradients of e1_1_baseline"; empty at the end
	Left        time.Duration // for all that is not done, judged by what is; 0: not known yet
}

// Planner compiles the programs of jobs, each distinct one once, and keeps what it learns.
type Planner struct {
	Compiler Compiler
	Cache    Cache
	Progress func(Progress) // nil: nobody listens
}

// Estimate returns an estimate for every job. Of a job whose program is refused the other programs are left out.
func (p Planner) Estimate(ctx context.Context, jobs []Job) ([]Estimate, error) {
	library, err := HashFile(p.Compiler.Library)
	if err != nil {
		return nil, err
	}
	topology := p.Compiler.Topology
	known := map[string]Compiled{}
	var work progress
	for _, j := range jobs {
		for _, name := range order {
			program, ok := j.Programs[name]
			if !ok {
				continue
			}
			key := program.Key()
			c, ok := p.Cache.Get(key, library, topology.Name)
			if !ok {
				work.add(key, program)
				continue
			}
			known[key] = c
			if c.Refused != nil {
				break
			}
		}
	}
	if work.total > 0 {
		if err := p.Compiler.Check(ctx); err != nil {
			return nil, err
		}
	}
	var estimates []Estimate
	for _, j := range jobs {
		compiled := map[string]Compiled{}
		for _, name := range order {
			program, ok := j.Programs[name]
			if !ok {
				continue // frozen weights
			}
			key := program.Key()
			c, ok := known[key]
			if !ok {
				p.tell(work.next(name + " of " + j.Spec.Name))
				if c, err = p.Compiler.Compile(ctx, program); err != nil {
					return nil, &ProgramError{name, j.Spec.Name, err}
				}
				if err := p.Cache.Put(key, library, topology.Name, c); err != nil {
					return nil, err
				}
				known[key] = c
				work.finish(key, c)
			}
			compiled[name] = c
			if c.Refused != nil {
				work.skip(j, known)
				break
			}
		}
		estimates = append(estimates, estimate(j, topology, library, compiled))
	}
	if work.total > 0 {
		p.tell(work.next(""))
	}
	return estimates, nil
}

func (p Planner) tell(s Progress) {
	if p.Progress != nil {
		p.Progress(s)
	}
}

// ProgramError says which program did not compile.
type ProgramError struct {
	Program, Experiment string
	Err                 error
}

func (e *ProgramError) Error() string {
	return "compile the " + e.Program + " of " + e.Experiment + ": " + e.Err.Error()
}
func (e *ProgramError) Unwrap() error { return e.Err }

// progress counts programs and judges the time left by the length of their code.
type progress struct {
	waiting     map[string]int // the length of each program that is still to be compiled
	done, total int
	length      int // of those that are done
	seconds     float64
}

func (w *progress) add(key string, p Program) {
	if w.waiting == nil {
		w.waiting = map[string]int{}
	}
	if _, twice := w.waiting[key]; !twice {
		w.waiting[key] = len(p.Code)
		w.total++
	}
}

func (w *progress) finish(key string, c Compiled) {
	w.done++
	w.length += w.waiting[key]
	w.seconds += c.Seconds
	delete(w.waiting, key)
}

// skip forgets the programs of a job that will not be compiled for it. One that another job needs comes back when its turn comes.
func (w *progress) skip(j Job, known map[string]Compiled) {
	for _, p := range j.Programs {
		key := p.Key()
		_, compiled := known[key]
		if _, waits := w.waiting[key]; waits && !compiled {
			delete(w.waiting, key)
			w.total--
		}
	}
}

func (w *progress) next(name string) Progress {
	s := Progress{Done: w.done, Total: max(w.total, w.done+min(1, len(name))), Next: name}
	if w.length > 0 {
		left := 0
		for _, length := range w.waiting {
			left += length
		}
		s.Left = time.Duration(w.seconds / float64(w.length) * float64(left) * float64(time.Second))
	}
	return s
}

// Known returns the estimates of jobs whose programs the cache has, by any libtpu, and nil for the others. It compiles nothing.
func (c Cache) Known(topology Topology, jobs []Job) []*Estimate {
	found := c.entries(topology.Name)
	estimates := make([]*Estimate, len(jobs))
	for i, j := range jobs {
		compiled, library, all := map[string]Compiled{}, "", true
		for _, name := range order {
			program, ok := j.Programs[name]
			if !ok {
				continue
			}
			e, ok := found[program.Key()]
			all = all && ok
			if ok {
				compiled[name], library = e.Compiled, e.Library
			}
			if ok && e.Compiled.Refused != nil {
				break // the others were not compiled
			}
		}
		if all {
			e := estimate(j, topology, library, compiled)
			estimates[i] = &e
		}
	}
	return estimates
}

// entries are the compilations for a topology by the program's key; of several compilers the one that was used last.
func (c Cache) entries(topology string) map[string]entry {
	found, when := map[string]entry{}, map[string]time.Time{}
	paths, _ := filepath.Glob(filepath.Join(c.Dir, "*.json"))
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			continue
		}
		e, ok := read(path)
		right := ok && e.Topology == topology && path == c.path(e.Program, e.Library, e.Topology)
		if right && info.ModTime().After(when[e.Program]) {
			found[e.Program], when[e.Program] = e, info.ModTime()
		}
	}
	return found
}
