package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"trmsweep/configs"
	"trmsweep/internal/backend/backendtest"
	"trmsweep/internal/experiment"
	"trmsweep/internal/preflight"
	"trmsweep/internal/protocol"
	"trmsweep/internal/train"
)

// onXLA are the experiments that are taken through this program on XLA: both mixers, both types.
var onXLA = []struct{ experiment, dtype string }{
	{"e2_2_t2_n2", "bfloat16"},
	{"e2_3_attention", "float32"},
}

// TestXLASurvives: processes that train on XLA and are killed, twice, and told to stop, once, end in the run of one that was
// left alone, bit for bit. They find compiled programs in the cache; the other one has compiled them.
func TestXLASurvives(t *testing.T) {
	backend := backendtest.XLA(t)
	for _, c := range onXLA {
		t.Run(c.experiment+" "+c.dtype, func(t *testing.T) {
			args := func(dir string) []string {
				return append(shortOf(c.experiment, backend, dir+"/store", dir), "--set", "forward_dtype="+c.dtype)
			}
			alone, disturbed := t.TempDir(), t.TempDir()
			p := program(t, nil, nil, args(alone)...)
			if code := p.end(); code != protocol.ExitDone {
				t.Fatalf("exit code %d\n%s", code, p.stderr.String())
			}
			want := look(t, alone+"/store", alone)
			for range 2 {
				killedAfterCheckpoint(t, args(disturbed)...)
			}
			p = program(t, nil, func(p *process, e protocol.Event) {
				if e.State == protocol.StateTraining {
					p.signal(syscall.SIGTERM)
				}
			}, args(disturbed)...)
			if code := p.end(); code != protocol.ExitPreempted {
				t.Fatalf("told to stop: exit code %d\n%s", code, p.stderr.String())
			}
			p = program(t, nil, nil, args(disturbed)...)
			if code := p.end(); code != protocol.ExitDone {
				t.Fatalf("exit code %d\n%s", code, p.stderr.String())
			}
			equal(t, look(t, disturbed+"/store", disturbed), want)
			evaluatedAgain(t, backend, alone)
		})
	}
}

// evaluatedAgain: `eval` on XLA finds in a finished run's last checkpoint what the run found in it.
func evaluatedAgain(t *testing.T, backend, dir string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "store", "runs", "r", "result.json"))
	if err != nil {
		t.Fatal(err)
	}
	result, err := protocol.DecodeResult(data)
	if err != nil {
		t.Fatal(err)
	}
	var got train.Evaluation
	text := ran(t, exitOK, "eval", "--run", "r", "--store", dir+"/store", "--state", dir, "--backend", backend, "--threads", "1", "--json")
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if result.Final.Puzzles == 0 || got.Backend != backend {
		t.Errorf("eval on %s, want %s; the run evaluated %d puzzles", got.Backend, backend, result.Final.Puzzles)
	}
	want := got
	want.Puzzles, want.CellAccuracy = result.Final.Puzzles, result.Final.CellAccuracy
	want.QHaltAccuracy = result.Final.QHaltAccuracy
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("eval finds something else than the run (-run +eval):\n%s", diff)
	}
}

// ran is what a command of this program, in a process of its own, prints.
func ran(t *testing.T, want int, args ...string) []byte {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	text, _ := cmd.Output()
	if code := cmd.ProcessState.ExitCode(); code != want {
		t.Fatalf("%s: exit code %d, want %d\n%s\n%s", args[0], code, want, text, errs.String())
	}
	return text
}

// TestXLAPreflight: the checks of a host that has XLA open its backend, and the trials of two shapes pass on it.
func TestXLAPreflight(t *testing.T) {
	backend := backendtest.XLA(t)
	dir := t.TempDir()
	var names []string
	for _, c := range onXLA {
		names = append(names, c.experiment)
	}
	args := append([]string{"preflight"}, names...)
	args = append(args, "--json", "--backend", backend, "--threads", "1", "--store", dir+"/store", "--state", dir)
	t.Setenv("TEMPORAL_ADDRESS", "127.0.0.1:1") // no server: the one check that fails
	text := ran(t, exitFailed, append(args, shortSettings...)...)
	var table preflight.Table
	if err := json.Unmarshal(text, &table); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	trials := 0
	for _, r := range table.Rows {
		if strings.HasPrefix(r.Check, "trial of ") {
			trials++
		}
		if !r.OK && r.Check != "server and workers" {
			t.Errorf("%s: %s", r.Check, r.Detail)
		}
	}
	if trials != len(onXLA) {
		t.Errorf("%d trials in %+v", trials, table.Rows)
	}
}

// TestXLAMemory compares the buffers that XLA assigned to the programs of a step with what preflight says that a process needs:
// never less, or it lets through what does not fit, and at most twice as much, or it refuses what does.
func TestXLAMemory(t *testing.T) {
	backend := backendtest.XLA(t)
	if backend != "xla:cpu" {
		t.Skipf("NOT RUN: the arrays of %s are not in this host's memory", backend)
	}
	for _, c := range []struct{ experiment, dtype string }{{"e2_2_t2_n2", "float32"}, {"e2_3_attention", "bfloat16"}} {
		t.Run(c.experiment+" "+c.dtype, func(t *testing.T) {
			values := []string{"hidden_size=64", "num_heads=4", "puzzle_emb_ndim=64", "l_layers=2", "h_cycles=1", "l_cycles=2", "lr_warmup_steps=1",
				"global_batch_size=136", "data_puzzles=160", "data_augmentations=1", "data_test_puzzles=4", "forward_dtype=" + c.dtype}
			spec, err := experiment.Resolve(configs.FS, c.experiment, "smoke", values, nil)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			args := []string{"train", c.experiment, "--backend", backend, "--threads", "1", "--no-metadata", "--max-steps", "1", "--store",
				dir + "/store", "--state", dir}
			p := program(t, nil, nil, append(args, settings(values...)...)...)
			if code := p.end(); code != protocol.ExitDone {
				t.Fatalf("exit code %d\n%s", code, p.stderr.String())
			}
			got, want := assigned(t, p.stderr.String(), "gradients")+assigned(t, p.stderr.String(), "apply"), bytesOnHost(backend)(spec)
			t.Logf("%.0f MB assigned, %.0f MB predicted", got/1e6, want/1e6)
			if got > want || got < want/2 {
				t.Errorf("XLA assigned %.0f MB; preflight says %.0f MB, so want %.0f to %.0f MB", got/1e6, want/1e6, want/2e6, want/1e6)
			}
		})
	}
}

// assigned is the memory of a program while it runs, as the log of a training process has it.
func assigned(t *testing.T, log, name string) float64 {
	t.Helper()
	m := regexp.MustCompile(`program=` + name +
		` .*arguments_bytes=(\d+) outputs_bytes=(\d+) alias_bytes=(\d+) temporary_bytes=(\d+)`).FindStringSubmatch(log)
	if m == nil {
		t.Fatalf("the log does not tell the memory of %s:\n%s", name, log)
	}
	var n [4]float64
	for i := range n {
		n[i], _ = strconv.ParseFloat(m[i+1], 64)
	}
	return n[0] + n[1] - n[2] + n[3]
}
