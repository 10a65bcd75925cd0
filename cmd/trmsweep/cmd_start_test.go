package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"trmsweep/configs"
	"trmsweep/internal/queues"
	"trmsweep/workflows"
)

// What only a sweep can do is refused for an experiment, before a server is asked.
func TestStartOfAnExperimentRefusesWhatSweepsDo(t *testing.T) {
	for _, more := range []string{
		"--preflight full", "--preflight none", "--seeds 1,2", "--phases scaling", "--experiments e1_1_baseline", "--parallelism 2",
		"--budget-hours 1", "--halving 2",
	} {
		var out bytes.Buffer
		args := append([]string{"start", "e2_2_t2_n2", "--state", t.TempDir()}, strings.Fields(more)...)
		flag, _, _ := strings.Cut(more, " ")
		code := execute(t.Context(), args, &out, &out)
		if code != exitUsage || !strings.Contains(out.String(), flag) || !strings.Contains(out.String(), "belong to sweeps") {
			t.Errorf("%s: exit code %d: %s", more, code, out.String())
		}
	}
}

// `run` ends with a report, which only a sweep leaves; a sweep of one's own has no workflow.
func TestOnlySweepsAreRun(t *testing.T) {
	own := t.TempDir()
	if err := os.CopyFS(own, configs.FS); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(own, "sweeps", "Mine.yaml"), []byte("experiments: [e2_2_t2_n2, e2_2_t2_n6]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{
		"run --sweep e2_2_t2_n2":            "run takes a sweep (AllAblations, TNSweep, BatchSweep), not e2_2_t2_n2",
		"run --sweep Preflight":             "run takes a sweep (AllAblations, TNSweep, BatchSweep), not Preflight",
		"run --sweep Mine --configs " + own: "Mine is a sweep to plan and to report on",
		"start Mine --configs " + own:       "Mine is a sweep to plan and to report on",
	} {
		var out bytes.Buffer
		code := execute(t.Context(), append(strings.Fields(args), "--state", t.TempDir()), &out, &out)
		if code != exitUsage || !strings.Contains(out.String(), want) {
			t.Errorf("%s: exit code %d: %s", args, code, out.String())
		}
	}
}

// Clients that do not know the workflows know their names.
func TestClientsKnowEveryWorkflowType(t *testing.T) {
	if !slices.Equal(queues.WorkflowTypes, workflows.Types) {
		t.Errorf("clients know %v, users start %v", queues.WorkflowTypes, workflows.Types)
	}
}

// What a worker could not do its work with is told before a stack or a worker
// starts, all at once, and is the user's to correct.
func TestWorkerFlagsAreCheckedFirst(t *testing.T) {
	for _, command := range []string{"up", "run --sweep TNSweep", "worker"} {
		for more, want := range map[string]string{
			"--slots 0":                               "--slots 0: want 1 to 1024",
			"--threads -1":                            "--threads -1: want 0",
			"--allow-host http://a --allow-host b:1":  `--allow-host "http://a": want one host name`,
			"--backend abacus":                        `no backend is called "abacus"`,
			"--profile smok --configs " + t.TempDir(): "base.yaml",
			"--backend xla --slots -1":                "--slots -1: want 1 to 1024\n--backend: backend not available: say which plugin",
			"TRMSWEEP_STORE=s3://x":                   `"s3://x": want gs://BUCKET`,
			"TRMSWEEP_STORE=gs:///x":                  "the bucket's name is missing",
			"TRMSWEEP_METRICS_ADDRESS=nonsense":       "--metrics-address: address nonsense: missing port",
		} {
			t.Setenv("TRMSWEEP_STORE", "")
			t.Setenv("TRMSWEEP_METRICS_ADDRESS", "")
			args := strings.Fields(command)
			if name, value, ok := strings.Cut(more, "="); ok {
				t.Setenv(name, value)
			} else {
				args = append(args, strings.Fields(more)...)
			}
			state := filepath.Join(t.TempDir(), "state")
			var out bytes.Buffer
			if code := execute(t.Context(), append(args, "--state", state), &out, &out); code != exitUsage || !strings.Contains(out.String(), want) {
				t.Errorf("%s %s: exit code %d: %s", command, more, code, out.String())
			}
			if _, err := os.Stat(state); !os.IsNotExist(err) {
				t.Errorf("%s %s: something was started: %v", command, more, err)
			}
		}
	}
	for _, command := range []string{"up", "worker"} {
		var out bytes.Buffer
		code := execute(t.Context(), []string{command, "--profile", "smok", "--state", t.TempDir()}, &out, &out)
		if code != exitUsage || !strings.Contains(out.String(), `unknown profile "smok" (known: laptop, paper, smoke)`) {
			t.Errorf("%s: exit code %d: %s", command, code, out.String())
		}
	}
}
