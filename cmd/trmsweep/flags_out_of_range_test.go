package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"trmsweep/internal/protocol"
)

// Numbers and names that make no sense are refused before a store or a server is asked.
func TestFlagsOutOfRange(t *testing.T) {
	store, _ := studyStore(t)
	t.Setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ args, want string }{
		{"train e2_2_t2_n2 --profile smoke --threads -1 --max-steps -2 --patience -1s",
			"--threads -1: want 0 (all cores) to 1024\n--max-steps -2: want 0 or more\n--patience -1s: want 0 or more"},
		{"train e2_2_t2_n2 --profile smoke --seed -1", "--seed -1: want 0 or more"},
		{"train e2_2_t2_n2 --profile smoke --set seed=-1", "seed: -1 is too small, the least is 0"},
		{"train e2_2_t2_n2 --profile smoke --set =3", "--set =3: want KEY=VALUE"},
		{"train e2_2_t2_n2 --profile smoke --no-metadata --run ..", `invalid object key "runs/../`},
		{"TRMSWEEP_GRACE=soon train e2_2_t2_n2 --profile smoke", "TRMSWEEP_GRACE=soon: want a duration"},
		{"TRMSWEEP_GRACE=-1h train e2_2_t2_n2 --profile smoke", "TRMSWEEP_GRACE=-1h: want a duration"},
		{"train e2_2_t2_n2 --profile smoke --store " + file,
			"open store " + file + ": a file lies where a folder is needed; name another folder"},
		{"start TNSweep --id a//b", `--id "a//b": invalid object key`},
		{"start TNSweep --id größer", "want printable ASCII"},
		{"start TNSweep --experiments e1_1_baseline,e2_2_t2_n2", "e1_1_baseline is not in TNSweep; it has e2_2_t2_n2, e2_2_t2_n6"},
		{"start TNSweep --experiments nope", `unknown sweep, phase or experiment "nope"`},
		{"verify --run r --patience -1s", "--patience -1s: want 0 or more"},
		{"verify --run ..", `invalid object key "runs/../`},
		{"eval --run r --puzzles -1 --threads -3", "--puzzles -1: want 0 or more\n--threads -3: want 0 (all cores) to 1024"},
		{"eval --run r --steps 1000000000", "--steps 1000000000: want 0 to 4096"},
		{"train e2_2_t2_n2 --profile smoke --threads 100000", "--threads 100000: want 0 (all cores) to 1024"},
		{"worker --threads 100000 --slots 5000", "--slots 5000: want 1 to 1024\n--threads 100000: want 0 (all cores) to 1024"},
		{"run --profile smoke --threads 100000", "--threads 100000: want 0 (all cores) to 1024"},
		{"up --threads 100000", "--threads 100000: want 0 (all cores) to 1024"},
		{"preflight --threads 100000", "--threads 100000: want 0 (all cores) to 1024"},
		{"bench step --steps 1000000001 --threads 100000", "--steps 1000000001: want 1 to 1000000\n--threads 100000: want 0"},
		{"bench step --layers 1000000", "--layers 1000000: want 1 to 1024"},
		{"bench all --steps 0", "--steps 0: want 1 to 1000000"},
		{"plan e1_1_baseline --set hidden_size=2147483646 --set l_layers=2147483647",
			"hidden_size: 2147483646 is too large, the most is 1048576"},
		{"eval --run ../x", `invalid object key "runs/../`},
		{"export r --out x --step -5", "--step -5: want 0 or more"},
		{"report --seeds -1", "--seeds [-1]: want 0 or more"},
		{"report TNSweep --profile smoke --id ../../x", "invalid object key"},
		{"priority --to 0", "--to 0: want 1 (first) to 5 (last)"},
		{"priority --to 6 e2_2_t2_n2", "--to 6: want 1"},
		{"extend e2_2_t2_n2 --epochs 0", "--epochs 0: want 1 or more"},
		{"add-seeds --seeds 1,-2", "--seeds [1 -2]: want 0 or more"},
	} {
		t.Setenv("TRMSWEEP_GRACE", "")
		args := strings.Fields(c.args)
		if name, value, ok := strings.Cut(args[0], "="); ok {
			t.Setenv(name, value)
			args = args[1:]
		}
		t.Setenv("TRMSWEEP_STORE", store)
		var out, errs bytes.Buffer
		code := execute(t.Context(), append(args, "--state", t.TempDir()), &out, &errs)
		if code != exitUsage || !strings.Contains(errs.String(), c.want) {
			t.Errorf("%s: exit code %d: %s", c.args, code, errs.String())
		}
	}
}

// What was not named is not looked for elsewhere: preflight needs the folder's stack, or a store.
func TestPreflightWithoutStackOrStore(t *testing.T) {
	for _, name := range []string{"TRMSWEEP_STORE", "STORAGE_EMULATOR_HOST", "TEMPORAL_ADDRESS"} {
		t.Setenv(name, "")
	}
	state := t.TempDir()
	var out, errs bytes.Buffer
	code := execute(t.Context(), []string{"preflight", "--profile", "smoke", "--no-trials", "--state", state}, &out, &errs)
	want := "no stack runs on " + state + ", and no store was named: start one with `trmsweep up --state " + state + "`"
	if code != exitUsage || !strings.Contains(errs.String(), want) || out.Len() > 0 {
		t.Errorf("exit code %d: %s%s", code, out.String(), errs.String())
	}
	store := []string{"preflight", "TNSweep", "--profile", "smoke", "--no-trials", "--state", state, "--store", t.TempDir(), "--backend",
		"cpu"}
	execute(t.Context(), store, &out, &errs)
	if !strings.Contains(out.String(), "store") || strings.Contains(out.String(), "gs://") {
		t.Errorf("--store: %s%s", out.String(), errs.String())
	}
}

// A model that no memory holds ends with a sentence, not with a dump of the runtime's stacks.
func TestModelTooLargeForAnyMemory(t *testing.T) {
	large := "--profile smoke --set hidden_size=65536 --set num_heads=1 --set puzzle_emb_ndim=0 --set puzzle_emb_len=0"
	for args, code := range map[string]int{
		"train e2_2_t2_n2 --no-metadata " + large: protocol.ExitFinal,
		"bench step --steps 1 --hidden 1000000":   exitUsage,
		"bench step --steps 1 --batch 100000000":  exitUsage,
	} {
		var out, errs bytes.Buffer
		got := execute(t.Context(), append(strings.Fields(args), "--state", t.TempDir()), &out, &errs)
		if got != code || !strings.Contains(errs.String(), "out of memory for one copy of the state alone") ||
			!strings.Contains(errs.String(), "are available") {
			t.Errorf("%s: exit code %d, want %d: %s", args, got, code, errs.String())
		}
	}
}

func TestExportToAFolder(t *testing.T) {
	dir := t.TempDir()
	if err := writeWeights(dir, []byte("x")); err == nil || !strings.Contains(err.Error(), dir+": it is a folder; name a file") {
		t.Error(err)
	}
	left, err := filepath.Glob(dir + ".*")
	if err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

func TestNoHintForAnEmptyCommand(t *testing.T) {
	var out bytes.Buffer
	if code := execute(t.Context(), []string{""}, &out, &out); code != exitUsage || strings.Contains(out.String(), "did you mean") {
		t.Errorf("exit code %d: %s", code, out.String())
	}
}
