package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"trmsweep/internal/blob/open"
	"trmsweep/internal/checkpoint"
	"trmsweep/internal/endpoint"
	"trmsweep/internal/layout"
	"trmsweep/internal/plugins"
	"trmsweep/internal/protocol"
	"trmsweep/internal/supervise"
	"trmsweep/internal/train"

	"trmsweep/internal/blob"
)

// Names of the processes that the harness keeps alive.
const (
	devstack = "devstack"
	workers  = "worker"
)

// workerThreads is the number of threads of each training process of the worker.
const workerThreads = "1"

// store is the store of the worker. Every embedded stack has this bucket.
const store = layout.EmbeddedStore

type harness struct {
	o     Options
	state string
	// bucket is the store of the stack, without retries.
	bucket blob.Bucket
	wg     sync.WaitGroup

	ports []string // flags of the stack's ports: free ones at the first start, those for ever

	mu    sync.Mutex
	pids  map[string]int
	stack endpoint.Stack
	kills map[string]int
}

// start starts the stack and the worker, and restarts them until ctx ends.
func (h *harness) start(ctx context.Context) error {
	h.pids = map[string]int{}
	h.ports = []string{"--free-ports"}
	h.keep(ctx, devstack, func() *exec.Cmd {
		h.mu.Lock()
		defer h.mu.Unlock()
		return exec.Command(filepath.Join(h.o.Bin, devstack), append([]string{"--state", h.state}, h.ports...)...)
	})
	if err := h.ready(ctx); err != nil {
		return err
	}
	h.keepPorts()
	h.keep(ctx, workers, func() *exec.Cmd {
		return exec.Command(filepath.Join(h.o.Bin, "trmsweep"), "worker", "--state", h.state, "--store", store,
			"--profile", "smoke", "--backend", h.o.Backend,
			"--slots", strconv.Itoa(h.slots()), "--threads", workerThreads, "--grace", "10s")
	})
	return nil
}

// keepPorts makes every later start of the stack listen at the ports of the first one.
func (h *harness) keepPorts() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ports = nil
	for flag, address := range map[string]string{"--temporal-port": h.stack.Temporal, "--ui-port": h.stack.UI, "--gcs-port": h.stack.GCS} {
		h.ports = append(h.ports, flag, address[strings.LastIndexByte(address, ':')+1:])
	}
}

// slots returns the number of runs that train at once.
func (h *harness) slots() int { return min(len(h.o.Experiments), 2) }

func (h *harness) address() endpoint.Stack {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.stack
}

func (h *harness) pid(name string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.pids[name]
}

func (h *harness) wait() { h.wg.Wait() }

// keep starts a process, restarts it at once whenever it ends, and kills it when ctx ends.
func (h *harness) keep(ctx context.Context, name string, make func() *exec.Cmd) {
	h.wg.Go(func() {
		for ctx.Err() == nil {
			cmd := make()
			if err := supervise.Tied(cmd, syscall.SIGKILL, func() error { return h.once(ctx, name, cmd) }); err != nil {
				h.o.Logf("%s: %v", name, err)
			}
			time.Sleep(50 * time.Millisecond)
		}
	})
}

func (h *harness) once(ctx context.Context, name string, cmd *exec.Cmd) error {
	log, err := os.OpenFile(filepath.Join(h.o.Dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Env = h.environ()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	h.mu.Lock()
	h.pids[name] = cmd.Process.Pid
	h.mu.Unlock()
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer stop()
	err = cmd.Wait()
	h.mu.Lock()
	h.pids[name] = 0
	h.mu.Unlock()
	return err
}

// environ returns this process's environment without variables that name another stack. The search path for XLA plugins stays.
func (h *harness) environ() []string {
	var env []string
	for _, kv := range os.Environ() {
		if strings.HasPrefix(kv, plugins.DirEnv+"=") {
			env = append(env, kv)
		}
		if !strings.HasPrefix(kv, "TEMPORAL_") && !strings.HasPrefix(kv, "TRMSWEEP_") && !strings.HasPrefix(kv, "STORAGE_EMULATOR_HOST=") {
			env = append(env, kv)
		}
	}
	return append(env, "STORAGE_EMULATOR_HOST="+h.address().GCS, "TRMSWEEP_GRACE="+grace.String())
}

// run executes a command of the project and returns its standard output.
func (h *harness) run(ctx context.Context, name string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(h.o.Bin, name), args...)
	cmd.Env = h.environ()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := supervise.Tied(cmd, syscall.SIGKILL, cmd.Run); err != nil {
		return stdout.Bytes(), fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, stderr.String())
	}
	return stdout.Bytes(), nil
}

// threads returns the number of threads of an undisturbed run: different from the worker's if that changes no bit of
// the result, else equal.
func (h *harness) threads() string {
	if h.o.Backend == "cpu" {
		return "2"
	}
	return workerThreads
}

// undisturbed trains a target without Temporal, with its own store.
func (h *harness) undisturbed(ctx context.Context, t target) (res protocol.AttemptResult, err error) {
	args := []string{"train", t.experiment, "--profile", "smoke", "--backend", h.o.Backend, "--threads", h.threads(), "--no-metadata",
		"--seed", strconv.FormatInt(t.seed, 10),
		"--state", filepath.Join(h.o.Dir, "undisturbed"), "--store", filepath.Join(h.o.Dir, "undisturbed", "store")}
	for _, kv := range h.o.Overrides {
		args = append(args, "--set", kv)
	}
	text, err := h.run(ctx, "trmsweep", args...)
	if err != nil {
		return res, err
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	err = json.Unmarshal(lines[len(lines)-1], &res)
	if err == nil && !res.Finished {
		err = errors.New("the undisturbed run did not finish")
	}
	return res, err
}

// submit starts the round's workflows and returns their ids.
func (h *harness) submit(ctx context.Context, n int, targets []target) (ids []string, err error) {
	if h.o.Sweep != "" {
		id := fmt.Sprintf("chaos-%d", n)
		args := []string{"start", h.o.Sweep, "--state", h.state, "--id", id, "--profile", "smoke",
			"--seeds", strconv.Itoa(n), "--experiments", strings.Join(h.o.Experiments, ",")}
		for _, kv := range h.o.Overrides {
			args = append(args, "--set", kv)
		}
		return []string{id}, h.eventually(ctx, "the sweep to start", func() error {
			_, err := h.run(ctx, "trmsweep", args...)
			return err
		})
	}
	for _, t := range targets {
		id := fmt.Sprintf("chaos-%d-%s", n, t.experiment)
		input, err := json.Marshal(map[string]any{"experiment": t.experiment, "profile": "smoke", "seed": t.seed, "overrides": h.o.Overrides,
			"timeouts": map[string]time.Duration{"heartbeat": h.o.Heartbeat, "backoff": 100 * time.Millisecond}})
		if err != nil {
			return nil, err
		}
		err = h.eventually(ctx, "the experiment to start", func() error {
			_, err := h.run(ctx, "tctl", "workflow", "start", "--state", h.state, "--type", "Experiment",
				"--workflow-id", id, "--input", string(input))
			return err
		})
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// await waits for the workflows to complete; a failed one is an error.
func (h *harness) await(ctx context.Context, ids []string) error {
	end := time.Now().Add(30 * time.Minute)
	for {
		text, err := h.run(ctx, "tctl", "workflow", "list", "--state", h.state, "--limit", "500")
		running := 0
		for _, id := range ids {
			status := ""
			for line := range strings.Lines(string(text)) {
				if f := strings.Fields(line); len(f) > 1 && f[1] == id {
					status = f[0]
				}
			}
			switch {
			case err != nil || status == "Running" || status == "":
				running++
			case status != "Completed":
				history, err := h.run(ctx, "tctl", "workflow", "show", "--state", h.state, "--json", id)
				return fmt.Errorf("workflow %s is %s; the end of its history (%v): %s", id, status, err, history[max(0, len(history)-3000):])
			}
		}
		switch {
		case running == 0:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case time.Now().After(end):
			return fmt.Errorf("workflows are still running after half an hour: %s (%v)", text, err)
		}
		time.Sleep(300 * time.Millisecond)
	}
}

// verified is `trmsweep verify --json` and the run's fence.
type verified struct {
	train.Verification
	epoch int64
}

// check verifies a finished run and compares it with the undisturbed one.
func (h *harness) check(ctx context.Context, t target) (v verified, err error) {
	text, err := h.run(ctx, "trmsweep", "verify", "--json", "--state", h.state, "--store", store, "--run", t.want.Run)
	if err != nil {
		return v, fmt.Errorf("%w\n%s", err, text)
	}
	if err := json.Unmarshal(text, &v.Verification); err != nil {
		return v, err
	}
	switch {
	case !v.OK || !v.Finished || v.Step != t.want.Step || v.BatchSteps != t.want.Step || v.LoggedSteps != t.want.Step:
		return v, fmt.Errorf("verify says %s", text)
	case v.StateSHA256 != t.want.StateSHA256 || v.BatchSHA != t.want.BatchSHA256:
		return v, fmt.Errorf("state %s, batches %s; undisturbed %s, %s", v.StateSHA256, v.BatchSHA, t.want.StateSHA256, t.want.BatchSHA256)
	}
	run := layout.Run(h.bucket, t.want.Run)
	head, err := checkpoint.ReadHead(ctx, run)
	if err != nil {
		return v, err
	}
	v.epoch = head.Term
	attr, err := run.Stat(ctx, layout.HeadFile)
	if err != nil {
		return v, err
	}
	for _, o := range v.Orphans {
		updated, err := time.Parse(time.RFC3339, o.Updated)
		if err != nil {
			return v, err
		}
		if age := attr.Updated.Sub(updated); age > 0 { // a stopped attempt that woke up later may have left some
			return v, fmt.Errorf("%s of term %d is left over, %v older than the last commit", o.Key, o.Term, age)
		}
	}
	return v, h.sameLog(ctx, run, t)
}

// sameLog compares the log of losses with that of the undisturbed run, byte for byte.
func (h *harness) sameLog(ctx context.Context, run blob.Bucket, t target) error {
	own, closer, err := open.Bucket(ctx, filepath.Join(h.o.Dir, "undisturbed", "store"))
	if err != nil {
		return err
	}
	defer closer.Close()
	var logs [2][]byte
	for i, b := range []blob.Bucket{run, layout.Run(own, t.want.Run)} {
		head, err := checkpoint.ReadHead(ctx, b)
		if err != nil {
			return err
		}
		m, err := checkpoint.ReadManifest(ctx, b, head.Entries[len(head.Entries)-1])
		if err != nil {
			return err
		}
		if logs[i], err = checkpoint.ReadMetrics(ctx, b, m); err != nil {
			return err
		}
	}
	if !bytes.Equal(logs[0], logs[1]) {
		return fmt.Errorf("the metrics log differs from the undisturbed one:\n%s\nundisturbed:\n%s", logs[0], logs[1])
	}
	return nil
}
