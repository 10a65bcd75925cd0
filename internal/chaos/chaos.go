// Package chaos trains experiments with the real binaries (embedded stack, worker, training
// processes), kills and stops those processes at seeded random times, and compares the
// results with undisturbed runs. It is for tests: the product does not import it.
package chaos

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"trmsweep/internal/blob/open"
	"trmsweep/internal/endpoint"
	"trmsweep/internal/protocol"
)

// Options of Run.
type Options struct {
	Bin         string   // folder with trmsweep, tctl and devstack
	Dir         string   // scratch folder for the state folder and the logs
	Seed        uint64   // decides which process is killed and when
	Kills       int      // rounds are repeated until this many kills have happened
	Experiments []string // are trained at once; every round has another seed
	Overrides   []string // key=value
	Backend     string   // backend of the training processes
	Sweep       string   // a sweep type that trains them; empty: each as a workflow of its own
	// Heartbeat is the time after which the server gives up a silent worker; it is used only without Sweep.
	Heartbeat time.Duration
	GapLeast  time.Duration // between two kills
	GapMost   time.Duration
	Logf      func(format string, args ...any)
}

// Outcome is the result of Run.
type Outcome struct {
	Kills   map[string]int // number of kills by target and signal
	Rounds  int
	Runs    int
	Epochs  int64 // acquisitions of all runs: attempts that got as far as the store
	Orphans int   // number of objects that stopped attempts wrote after the run was complete
	Seconds float64
}

// Total is the number of kills.
func (o Outcome) Total() int {
	n := 0
	for _, k := range o.Kills {
		n += k
	}
	return n
}

func (o Outcome) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d runs in %d rounds, %d kills in %.0f s (", o.Runs, o.Rounds, o.Total(), o.Seconds)
	for i, k := range slices.Sorted(maps.Keys(o.Kills)) {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s %d", k, o.Kills[k])
	}
	fmt.Fprintf(&b, "), %d attempts acquired a run, %d objects left over; every hash, batch and log is the undisturbed one's",
		o.Epochs, o.Orphans)
	return b.String()
}

// grace is the age in which objects of dead attempts are collected while a run continues.
const grace = 2 * time.Second

// target is a run with its expected result.
type target struct {
	experiment string
	seed       int64
	want       protocol.AttemptResult // result of the undisturbed run
}

// Run repeats rounds of training with kills until enough kills have happened. It returns
// an error at the first difference from the undisturbed runs.
func Run(ctx context.Context, o Options) (out Outcome, err error) {
	begin := time.Now()
	h := &harness{o: o, state: filepath.Join(o.Dir, "state"), kills: map[string]int{}}
	if err := os.MkdirAll(h.state, 0o755); err != nil {
		return out, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer h.wait()
	defer cancel()
	if err := h.start(ctx); err != nil {
		return out, err
	}
	if err := os.Setenv("STORAGE_EMULATOR_HOST", h.address().GCS); err != nil {
		return out, err
	}
	b, closer, err := open.Raw(ctx, store, deadline, nil)
	if err != nil {
		return out, err
	}
	defer closer.Close()
	h.bucket = b
	rnd := newDice(o.Seed)
	for {
		out.Rounds++
		targets, err := h.round(ctx, out.Rounds, rnd)
		out.Kills, out.Runs = h.kills, out.Runs+len(targets)
		out.Seconds = time.Since(begin).Seconds()
		if err != nil {
			return out, fmt.Errorf("round %d after %d kills: %w", out.Rounds, out.Total(), err)
		}
		for _, t := range targets {
			v, err := h.check(ctx, t)
			if err != nil {
				return out, fmt.Errorf("%s, seed %d, run %s, after %d kills: %w", t.experiment, t.seed, t.want.Run, out.Total(), err)
			}
			out.Epochs += v.epoch
			out.Orphans += len(v.Orphans)
		}
		o.Logf("round %d: %d of %d kills, %v", out.Rounds, out.Total(), o.Kills, time.Since(begin).Round(time.Second))
		if out.Total() >= o.Kills {
			return out, nil
		}
	}
}

// round trains all experiments once. The kills begin with the first attempt.
func (h *harness) round(ctx context.Context, n int, rnd *dice) ([]target, error) {
	var targets []target
	for _, e := range h.o.Experiments {
		t := target{experiment: e, seed: int64(n)}
		var err error
		if t.want, err = h.undisturbed(ctx, t); err != nil {
			return nil, err
		}
		targets = append(targets, t)
	}
	ids, err := h.submit(ctx, n, targets)
	if err != nil {
		return targets, err
	}
	fire, cease := context.WithCancel(ctx)
	defer cease()
	done := make(chan error, 1)
	go func() { done <- h.shoot(fire, rnd, targets) }()
	err = h.await(ctx, ids)
	cease()
	if ferr := <-done; err == nil && ferr != nil && !errors.Is(ferr, context.Canceled) {
		err = ferr
	}
	if err != nil {
		return targets, err
	}
	return targets, h.ready(ctx)
}

// ready waits until the stack answers.
func (h *harness) ready(ctx context.Context) error {
	return h.eventually(ctx, "the stack to answer", func() error {
		s, err := endpoint.ReadStack(h.state)
		if err != nil {
			return err
		}
		if pid := h.pid(devstack); s.PID != pid {
			return fmt.Errorf("devstack.json is of process %d, the stack is %d", s.PID, pid)
		}
		h.mu.Lock()
		h.stack = s
		h.mu.Unlock()
		return nil
	})
}

const deadline = 5 * time.Minute

// eventually polls until f succeeds.
func (h *harness) eventually(ctx context.Context, what string, f func() error) error {
	end := time.Now().Add(deadline)
	for {
		err := f()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Now().After(end) {
			return fmt.Errorf("waited for %s: %w", what, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
