package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// tiny makes every experiment of the smoke profile a matter of seconds.
var tiny = []string{
	"data_puzzles=64", "data_augmentations=2", "data_test_puzzles=8", "epochs=4", "eval_interval_epochs=2", "eval_puzzles=4",
	"final_eval_puzzles=4", "eval_batch_size=4", "halt_max_steps=4", "lr_warmup_steps=1", "checkpoint_every_steps=4",
}

// sets are --set flags of tiny with more on top.
func sets(more ...string) []string {
	var out []string
	for _, kv := range append(append([]string{}, tiny...), more...) {
		out = append(out, "--set", kv)
	}
	return out
}

// workerProcess is a running `trmsweep worker`.
type workerProcess struct {
	cmd    *exec.Cmd
	output lockedBuffer
	ended  chan error
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// startWorker starts a worker on the stack whose sweeps are tiny where their
// input says nothing else; it is gone when the test ends.
func startWorker(t *testing.T, s *stack, args ...string) *workerProcess {
	t.Helper()
	return startProgram(t, filepath.Join(bin, "trmsweep"), s, args...)
}

// startProgram is startWorker of a certain build.
func startProgram(t *testing.T, program string, s *stack, args ...string) *workerProcess {
	t.Helper()
	w := &workerProcess{ended: make(chan error, 1)}
	w.cmd = exec.Command(program,
		append([]string{"worker", "--state", s.State, "--profile", "smoke", "--backend", "cpu", "--grace", "20s"}, args...)...)
	w.cmd.Env = append(cleanEnv(), "STORAGE_EMULATOR_HOST="+s.GCS)
	for _, kv := range tiny {
		w.cmd.Env = append(w.cmd.Env, "TRMSWEEP_SET_"+strings.ToUpper(kv))
	}
	w.cmd.Stdout, w.cmd.Stderr = &w.output, &w.output
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { w.ended <- w.cmd.Wait() }()
	t.Cleanup(func() {
		_ = w.cmd.Process.Kill()
		if t.Failed() {
			t.Logf("worker:\n%s", w.output.String())
		}
	})
	return w
}

// kill kills the worker outright; its training processes die with it.
func (w *workerProcess) kill(t *testing.T) {
	t.Helper()
	if err := w.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-w.ended
}

// child is the process id of the worker's training process.
func (w *workerProcess) child(t *testing.T) int {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range stats {
		data, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(data), ") ")
		if f := strings.Fields(rest); len(f) > 1 && f[1] == strconv.Itoa(w.cmd.Process.Pid) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			return pid
		}
	}
	t.Fatal("the worker has no training process")
	return 0
}

// row is an experiment in `trmsweep status --json`.
type row struct {
	Item struct {
		ID  string `json:"id"`
		Run string `json:"run"`
	} `json:"item"`
	Status        string `json:"status"`
	Error         string `json:"error"`
	Attempts      int    `json:"attempts"`
	Preemptions   int    `json:"preemptions"`
	CommittedStep int64  `json:"committed_step"`
	LostSteps     int64  `json:"lost_steps"`
	Holdup        struct {
		Kind string `json:"kind"`
	} `json:"holdup"`
	Progress struct {
		Step          int64  `json:"step"`
		CommittedStep int64  `json:"committed_step"`
		RestoredFrom  int64  `json:"restored_from_step"`
		State         string `json:"state"`
	} `json:"progress"`
	StateSHA256 string             `json:"state_sha256"`
	Reused      bool               `json:"reused"`
	Goodput     map[string]float64 `json:"goodput"`
	WallSeconds float64            `json:"wall_seconds"`
}

// sweepView is `trmsweep status --json`.
type sweepView struct {
	Sweep       string   `json:"sweep"`
	Profile     string   `json:"profile"`
	Status      string   `json:"status"`
	Experiments []row    `json:"experiments"`
	Done        int      `json:"done"`
	Failed      int      `json:"failed"`
	Notes       []string `json:"notes"`
	Reports     []string `json:"reports"`
}

func (v sweepView) row(t *testing.T, id string) row {
	t.Helper()
	for _, r := range v.Experiments {
		if r.Item.ID == id {
			return r
		}
	}
	t.Fatalf("no row %s in %+v", id, v)
	return row{}
}

// status asks for a sweep until it can be asked; an id of "" is the newest sweep.
func status(t *testing.T, s *stack, id string) sweepView {
	t.Helper()
	var v sweepView
	args := []string{"status", "--state", s.State, "--json"}
	if id != "" {
		args = append(args, id)
	}
	eventually(t, "the status of "+id, func() error {
		r := run(t, "trmsweep", args...)
		if r.code != 0 {
			return fmt.Errorf("exit code %d: %s", r.code, r.stderr)
		}
		return json.Unmarshal([]byte(r.stdout), &v)
	})
	return v
}

// await polls the sweep until it is as wanted.
func await(t *testing.T, s *stack, id, what string, as func(sweepView) bool) sweepView {
	t.Helper()
	var v sweepView
	eventually(t, what, func() error {
		if v = status(t, s, id); !as(v) {
			return fmt.Errorf("it is %+v", v)
		}
		return nil
	})
	return v
}

// trainUndisturbed trains an experiment in one go, without Temporal, and returns state_sha256.
func trainUndisturbed(t *testing.T, experiment string, more ...string) string {
	t.Helper()
	return trainUndisturbedOn(t, "cpu", experiment, more...)
}

// undisturbed has the state_sha256 of the runs that this process has trained in one go, by their arguments.
var undisturbed = struct {
	sync.Mutex
	hashes map[string]string
}{hashes: map[string]string{}}

// trainUndisturbedOn is trainUndisturbed on another backend.
func trainUndisturbedOn(t *testing.T, backend, experiment string, more ...string) string {
	t.Helper()
	undisturbed.Lock()
	defer undisturbed.Unlock()
	what := fmt.Sprint(backend, experiment, more)
	if hash := undisturbed.hashes[what]; hash != "" {
		return hash
	}
	dir := t.TempDir()
	out := mustRun(t, "trmsweep",
		append([]string{"train", experiment, "--profile", "smoke", "--backend", backend, "--state", dir, "--store", filepath.Join(dir, "store"),
			"--no-metadata"}, sets(more...)...)...)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	var res struct {
		StateSHA256 string `json:"state_sha256"`
	}
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &res); err != nil || res.StateSHA256 == "" {
		t.Fatalf("last line of train: %v\n%s", err, lines[len(lines)-1])
	}
	undisturbed.hashes[what] = res.StateSHA256
	return res.StateSHA256
}
