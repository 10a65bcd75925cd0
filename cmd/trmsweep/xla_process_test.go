package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"trmsweep/configs"
	"trmsweep/internal/backend/backendtest"
	"trmsweep/internal/experiment"
	"trmsweep/internal/preflight"
	"trmsweep/internal/report"
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
			if code := p.end(); code != train.ExitDone {
				t.Fatalf("exit code %d\n%s", code, p.stderr.String())
			}
			want := look(t, alone+"/store", alone)
			for range 2 {
				killedAfterCheckpoint(t, args(disturbed)...)
			}
			p = program(t, nil, func(p *process, e train.Event) {
				if e.State == train.StateTraining {
					p.signal(syscall.SIGTERM)
				}
			}, args(disturbed)...)
			if code := p.end(); code != train.ExitPreempted {
				t.Fatalf("told to stop: exit code %d\n%s", code, p.stderr.String())
			}
			p = program(t, nil, nil, args(disturbed)...)
			if code := p.end(); code != train.ExitDone {
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
	result, err := report.DecodeResult(data)
	if err != nil {
		t.Fatal(err)
	}
	var got train.Evaluation
	text := ran(t, exitOK, "eval", "--run", "r", "--store", dir+"/store", "--state", dir, "--backend", backend, "--threads", "1", "--json")
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	want := result.Final
	same := got.Puzzles == want.Puzzles && got.CellAccuracy == want.CellAccuracy && got.QHaltAccuracy == want.QHaltAccuracy
	if !same || want.Puzzles == 0 || got.Backend != backend {
		t.Errorf("eval says %+v, the run %+v", got, want)
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

// TestXLAMemory compares what a training process on XLA takes for more rows with what preflight says it takes. Its second
// start is measured: the compiler does not run in it. All that does not depend on the batch cancels out.
func TestXLAMemory(t *testing.T) {
	backend := backendtest.XLA(t)
	if backend != "xla:cpu" {
		t.Skipf("NOT RUN: arrays of %s are not in this process", backend)
	}
	values := []string{"hidden_size=64", "num_heads=4", "puzzle_emb_ndim=64", "l_layers=2", "h_cycles=1", "l_cycles=2", "forward_dtype=bfloat16",
		"lr_warmup_steps=1", "data_puzzles=160", "data_augmentations=1", "data_test_puzzles=4"}
	few, many := 8, 136
	measured, predicted, copies := map[int]float64{}, map[int]float64{}, map[int]float64{}
	var blocks float64
	for _, rows := range []int{few, many} {
		v := append(values[:len(values):len(values)], fmt.Sprint("global_batch_size=", rows))
		spec, err := experiment.Resolve(configs.FS, "e2_2_t2_n2", "smoke", v, nil)
		if err != nil {
			t.Fatal(err)
		}
		predicted[rows] = bytesOnHost(backend)(spec)
		copies[rows] = preflight.StateBytes(spec)
		blocks = float64((spec.LCycles + 1) * spec.LLayers)
		dir := t.TempDir()
		args := []string{"train", "e2_2_t2_n2", "--backend", backend, "--threads", "1", "--no-metadata", "--max-steps", "3", "--store", dir + "/store", "--state", dir}
		args = append(args, settings(v...)...)
		for _, run := range []string{"compiles", "r"} {
			p := program(t, nil, nil, append(args, "--run", run)...)
			if code := p.end(); code != train.ExitDone {
				t.Fatalf("exit code %d\n%s", code, p.stderr.String())
			}
			measured[rows] = float64(p.cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss) * 1024
		}
	}
	got, want := measured[many]-measured[few], predicted[many]-predicted[few]
	t.Logf("%d rows more: %.0f MB, predicted %.0f MB (%.0f and %.0f MB in all)",
		many-few, got/1e6, want/1e6, measured[few]/1e6, measured[many]/1e6)
	// Above: while the backward pass is in a block, this block's gradients exist beside what all keep; what is saved is
	// copied; a tenth for the allocator.
	// Below: a compiler can fuse norms and products away, not the operands of matrix products, which are more than half.
	most := want*(blocks+1)/blocks + copies[many] - copies[few] + want/10
	if got > most || got < want/2 {
		t.Errorf("%.0f MB for %d rows; predicted %.0f MB, so want %.0f to %.0f MB", got/1e6, many-few, want/1e6, want/2e6, most/1e6)
	}
}
