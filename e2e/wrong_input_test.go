package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const (
	question = "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79"
	answer   = "534678912672195348198342567859761423426853791713924856961537284287419635345286179"
	swapped  = "543678912672195348198342567859761423426853791713924856961537284287419635345286179"
)

// csvFile is a puzzle file with these rows below the usual header.
func csvFile(t *testing.T, name string, rows ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte("source,question,answer,rating\n"+strings.Join(rows, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// What users get wrong ends with a message that says what, where and what to
// do, and an exit code: 2 for what was typed or configured, 1 for what failed.
func TestWrongInput(t *testing.T) {
	good := "x," + question + "," + answer + ",0"
	bad := csvFile(t, "wrong.csv", good, "x,"+question+","+swapped+",0")
	down := t.TempDir() // a stack was here
	if err := os.WriteFile(filepath.Join(down, "devstack.json"), []byte(`{"temporal":"127.0.0.1:1"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	misspelt := t.TempDir()
	copyConfigs(t, misspelt)
	err := os.WriteFile(filepath.Join(misspelt, "experiments", "e9_mine.yaml"), []byte("phase: ablations\nhiden_size: 64\nh_cycles: many\n"),
		0o644)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		args string
		code int
		want string // in stderr
	}{
		{"unknown command", "plann", 2, "did you mean plan?"},
		{"unknown subcommand", "dataset bild", 2, "did you mean build?"},
		{"unknown flag", "plan --sett lr=1", 2, "unknown flag: --sett"},
		{"too few arguments", "compare one", 2, "accepts 2 arg(s)"},
		{"plan of an unknown experiment", "plan e1_1_basline", 2, "the nearest known one is e1_1_baseline"},
		{"training of an unknown experiment", "train e1_1_basline", 2, "the nearest known one is e1_1_baseline"},
		{"start of an unknown sweep", "start AllAblation", 2, "the nearest known one is AllAblations"},
		{"run of an unknown sweep", "run --sweep TNSwep", 2, "the nearest known one is TNSweep"},
		{"report of an unknown sweep", "report TNSwep", 2, "the nearest known one is TNSweep"},
		{"a phase is no sweep", "start scaling", 2, "`trmsweep start AllAblations --phases scaling --state "},
		{"unknown profile", "run --profile smok", 2, "the nearest known one is smoke"},
		{"misspelt key", "plan --set hiden_size=64", 2, "--set: hiden_size: unknown key; the nearest known key is hidden_size"},
		{"misspelt key at a start", "start TNSweep --set hiden_size=64", 2, "the nearest known key is hidden_size"},
		{"values out of range at a start", "start TNSweep --priority 9 --preflight some --seeds 1,1", 2,
			`priority 9 (0 to 5); input: preflight "some" (full, checks, none); input: seed 1 is given twice`},
		{"misspelt key in a file", "plan --configs " + misspelt, 2, "experiments/e9_mine.yaml:2: hiden_size: unknown key"},
		{"all faults at once", "plan --configs " + misspelt, 2, "experiments/e9_mine.yaml:3: h_cycles: "},
		{"wrong type", "train e2_2_t2_n2 --set hidden_size=big", 2, `hidden_size: "big" is not a whole number`},
		{"contradiction", "plan e1_1_baseline --set num_heads=7", 2, "hidden_size 512 is not divisible by 7 heads"},
		{"key of an older version", "plan e1_1_baseline --set num_workers=8", 2, "num_workers: is no key any more"},
		{"no such configuration folder", "plan --configs /nowhere", 2, "/nowhere/base.yaml"},
		{"no such CSV", "dataset build --source /nowhere/x.csv --out OUT", 2, "/nowhere/x.csv"},
		{"no such CSV in training", "train e2_2_t2_n2 --profile smoke --store OUT --set data_source=/nowhere/x.csv", 2, "/nowhere/x.csv"},
		{"folder without a CSV", "dataset build --source " + t.TempDir() + " --out OUT", 1, "has no train.csv"},
		{"not a CSV", "dataset build --source " + filepath.Join(bin, "trmsweep") + " --out OUT", 1, ": line 1 is "},
		{"wrong answer", "dataset build --source " + bad + " --out OUT", 1, "line 3: "},
		{"wrong answer in training", "train e2_2_t2_n2 --profile smoke --store OUT --set data_source=" + bad, 2, "line 3: "},
		{"short question", "dataset build --source " + csvFile(t, "short.csv", "x,53..7,"+answer+",0") + " --out OUT", 1,
			"line 2: question: puzzle has 5 characters, want 81"},
		{"no such run", "compare a b --store " + t.TempDir(), 2, `run "a" has no result in the store`},
		{"server down: start", "start TNSweep --state " + down, 1, "no Temporal server answers at 127.0.0.1:1"},
		{"server down: status", "status --state " + down, 1, "`trmsweep up --state " + down},
		{"server down: pause", "pause --state " + down, 1, "no Temporal server answers at 127.0.0.1:1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			args := strings.Fields(strings.ReplaceAll(tc.args, "OUT", filepath.Join(t.TempDir(), "out")))
			if !strings.Contains(tc.args, "--state") {
				args = append(args, "--state", t.TempDir())
			}
			r := run(t, "trmsweep", args...)
			if r.code != tc.code || !strings.Contains(r.stderr, tc.want) || strings.Contains(r.stderr, "goroutine ") {
				t.Errorf("exit code %d, want %d; want %q in\n%s", r.code, tc.code, tc.want, r.stderr)
			}
		})
	}
}

func copyConfigs(t *testing.T, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(filepath.Join("..", "configs"))); err != nil {
		t.Fatal(err)
	}
}

// A full disk is 256 KiB of memory, mounted where only the command sees it.
func TestDiskFull(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	small := t.TempDir()
	inside := func(command string) (string, int, error) {
		script := "mount -t tmpfs -o size=256k tmpfs " + small + " && " + command
		cmd := exec.CommandContext(ctx, "unshare", "-rm", "sh", "-c", script)
		cmd.Env = cleanEnv()
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState == nil {
			return string(out), 0, err
		}
		return string(out), cmd.ProcessState.ExitCode(), nil
	}
	if out, code, err := inside("true"); err != nil || code != 0 {
		t.Skipf("no private mounts on this machine: %v %s", err, out)
	}
	tool := filepath.Join(bin, "trmsweep")
	for _, tc := range []struct{ name, command string }{
		{"dataset", "dataset build --source generate --count 100 --test-count 100 --num-aug 100 --out " + small + "/d"},
		{"store of a training", "train e2_2_t2_n2 --profile smoke --patience 1s --store " + small + "/store --state " + t.TempDir()},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out, code, err := inside(tool + " " + tc.command)
			if err != nil || code != 1 || !strings.Contains(out, "no space left on device") || !strings.Contains(out, small) {
				t.Errorf("exit code %d, want 1; %v\n%s", code, err, out)
			}
		})
	}
}
