package chaos

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"trmsweep/internal/blob"
	"trmsweep/internal/checkpoint"
	"trmsweep/internal/layout"
	"trmsweep/internal/wait"
)

// dice is the random generator that decides about kills.
type dice struct{ *rand.Rand }

func newDice(seed uint64) *dice { return &dice{rand.New(rand.NewPCG(seed, 7))} }

// shot is one kill: a signal to one kind of process, and for SIGSTOP the time until SIGCONT.
type shot struct {
	after  time.Duration
	target string
	signal syscall.Signal
	pause  time.Duration
	pick   int
	calm   bool // whether to wait until every run has made progress
}

const child = "child"

func (d *dice) next(o Options) shot {
	s := shot{after: o.GapLeast + time.Duration(d.Int64N(int64(o.GapMost-o.GapLeast)+1)), pick: d.IntN(1 << 20)}
	switch x := d.Float64(); {
	case x < 0.5:
		s.target = child
	case x < 0.8:
		s.target = workers
	default:
		s.target = devstack
	}
	switch x := d.Float64(); {
	case x < 0.6:
		s.signal = syscall.SIGKILL
	case x < 0.8:
		s.signal = syscall.SIGTERM
	default:
		s.signal = syscall.SIGSTOP
	}
	s.calm = d.Float64() < 0.6
	s.pause = time.Duration(100+d.IntN(5000)) * time.Millisecond
	return s
}

// hurried is the greatest number of kills in a row without progress of the runs. An
// experiment fails after five attempts without progress, so that more kills would make
// even a correct program fail.
const hurried = 2

// shoot kills one process after the other until ctx ends or enough kills have happened. If the process does not
// exist, it waits for it. Most kills wait until the runs in training have committed steps since the last kill.
func (h *harness) shoot(ctx context.Context, d *dice, targets []target) error {
	row := 0
	seen := h.steps(ctx, targets)
	for h.total() < h.o.Kills {
		s := d.next(h.o)
		if err := wait.Sleep(ctx, s.after); err != nil {
			return err
		}
		if row++; row > hurried || s.calm {
			for !further(seen, h.steps(ctx, targets), h.slots()) {
				if err := wait.Sleep(ctx, 100*time.Millisecond); err != nil {
					return err
				}
			}
			row, seen = 0, h.steps(ctx, targets)
		}
		pid := 0
		for pid == 0 {
			if pid = h.find(s); pid != 0 {
				break
			}
			if err := wait.Sleep(ctx, 20*time.Millisecond); err != nil {
				return err
			}
		}
		if syscall.Kill(pid, s.signal) != nil {
			continue
		}
		h.mu.Lock()
		h.kills[s.target+" "+name(s.signal)]++
		h.mu.Unlock()
		h.o.Logf("%s kill %d: %s %s", time.Now().Format("15:04:05.0"), h.total(), s.target, name(s.signal))
		if s.signal != syscall.SIGSTOP {
			continue
		}
		err := wait.Sleep(ctx, s.pause)
		_ = syscall.Kill(pid, syscall.SIGCONT)
		if err != nil {
			return err
		}
	}
	return nil
}

func (h *harness) total() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return Outcome{Kills: h.kills}.Total()
}

// steps returns the committed step of each run, -1 for a finished run. It returns nil if the store does not answer.
func (h *harness) steps(ctx context.Context, targets []target) []int64 {
	out := make([]int64, len(targets))
	for i, t := range targets {
		run := layout.Run(h.bucket, t.want.Run)
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		_, err := run.Stat(ctx, layout.ResultFile)
		var head checkpoint.Head
		if errors.Is(err, blob.ErrNotExist) {
			head, err = checkpoint.ReadHead(ctx, run)
		} else if err == nil {
			out[i] = -1
		}
		cancel()
		if err != nil && !errors.Is(err, blob.ErrNotExist) {
			return nil
		}
		for _, e := range head.Entries {
			out[i] = max(out[i], e.Step)
		}
	}
	return out
}

// further says whether enough runs have committed a step since before: as many as can train
// at once, or all that are not finished.
func further(before, now []int64, slots int) bool {
	if now == nil || before == nil {
		return now != nil
	}
	left, moved := 0, 0
	for i, step := range now {
		if before[i] >= 0 {
			left++
			if step < 0 || step > before[i] {
				moved++
			}
		}
	}
	return moved >= min(left, slots)
}

func name(s syscall.Signal) string {
	return map[syscall.Signal]string{syscall.SIGKILL: "KILL", syscall.SIGTERM: "TERM", syscall.SIGSTOP: "STOP+CONT"}[s]
}

// find returns the process id of a shot's target, 0 if the target does not run now.
func (h *harness) find(s shot) int {
	if s.target != child {
		return h.pid(s.target)
	}
	parent := h.pid(workers)
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	var found []int
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			continue // the process has ended
		}
		_, rest, _ := strings.Cut(string(data), ") ")
		if f := strings.Fields(rest); parent != 0 && len(f) > 1 && f[0] != "Z" && f[1] == strconv.Itoa(parent) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			found = append(found, pid)
		}
	}
	if len(found) == 0 {
		return 0
	}
	return found[s.pick%len(found)]
}
