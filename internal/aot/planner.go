package aot

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Progress is the progress of a Planner. It is reported before each compilation and after the last one.
type Progress struct {
	Done, Total int           // numbers of programs that were not in the cache
	Next        string        // the next program, such as "gradients of e1_1_baseline"; empty at the end
	Left        time.Duration // estimated time for the remaining programs; 0 = not known yet
}

// Planner compiles the programs of jobs, each distinct program once, and caches the results.
type Planner struct {
	Compiler Compiler
	Cache    Cache
	Progress func(Progress) // may be nil
}

// task is one program of a job.
type task struct {
	job       int
	name, key string
	program   Program
}

// Estimate returns an estimate for every job. It compiles the gradients of all jobs first, because most jobs that do not
// fit fail there. If a program of a job is refused, the other programs of that job are not compiled.
func (p Planner) Estimate(ctx context.Context, jobs []Job) ([]Estimate, error) {
	library, err := HashFile(p.Compiler.Library)
	if err != nil {
		return nil, err
	}
	topology := p.Compiler.Topology
	var tasks []task
	known := map[string]Compiled{}
	for _, name := range order {
		for i, j := range jobs {
			program, ok := j.Programs[name]
			if !ok {
				continue // the weights are frozen
			}
			t := task{i, name, program.Key(), program}
			if c, ok := p.Cache.Get(t.key, library, topology.Name); ok {
				known[t.key] = c
			}
			tasks = append(tasks, t)
		}
	}
	var work progress
	compiled := make([]map[string]Compiled, len(jobs))
	refused := make([]bool, len(jobs))
	for i, t := range tasks {
		if refused[t.job] {
			continue
		}
		c, ok := known[t.key]
		if !ok {
			if work.done == 0 { // reports a wrong topology before a long compilation
				if err := p.Compiler.Check(ctx); err != nil {
					return nil, err
				}
			}
			experiment := jobs[t.job].Spec.Name
			p.tell(work.before(t.name+" of "+experiment, waiting(tasks[i:], known, refused)))
			if c, err = p.Compiler.Compile(ctx, t.program); err != nil {
				return nil, fmt.Errorf("compile the %s of %s: %w", t.name, experiment, err)
			}
			if err := p.Cache.Put(t.key, library, topology.Name, c); err != nil {
				return nil, err
			}
			known[t.key] = c
			work.finish(t.program, c)
		}
		if compiled[t.job] == nil {
			compiled[t.job] = map[string]Compiled{}
		}
		compiled[t.job][t.name] = c
		refused[t.job] = c.Refused != nil
	}
	if work.done > 0 {
		p.tell(Progress{Done: work.done, Total: work.done})
	}
	estimates := make([]Estimate, len(jobs))
	for i, j := range jobs {
		estimates[i] = estimate(j, topology, library, compiled[i])
	}
	return estimates, nil
}

// waiting returns the lengths of the distinct programs that still have to be compiled, by their keys.
func waiting(tasks []task, known map[string]Compiled, refused []bool) map[string]int {
	lengths := map[string]int{}
	for _, t := range tasks {
		if _, ok := known[t.key]; !ok && !refused[t.job] {
			lengths[t.key] = len(t.program.Code)
		}
	}
	return lengths
}

func (p Planner) tell(s Progress) {
	if p.Progress != nil {
		p.Progress(s)
	}
}

// progress estimates the remaining time from the lengths of the programs and the times of the finished ones.
type progress struct {
	done, length int
	seconds      float64
}

func (w *progress) finish(p Program, c Compiled) {
	w.done++
	w.length += len(p.Code)
	w.seconds += c.Seconds
}

func (w *progress) before(name string, waiting map[string]int) Progress {
	s := Progress{Done: w.done, Total: w.done + len(waiting), Next: name}
	if w.length == 0 {
		return s
	}
	left := 0
	for _, length := range waiting {
		left += length
	}
	s.Left = time.Duration(w.seconds / float64(w.length) * float64(left) * float64(time.Second))
	return s
}

// Known returns estimates for the jobs whose programs are in the cache, by any libtpu, and nil for the others. It compiles nothing.
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

// entries returns the compilations for a topology by the program's key. If several compilers compiled a
// program, the entry that was used last counts.
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
