package chaos

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

var (
	kills = flag.Int("kills", 0, "run the long version until so many kills have happened")
	seed  = flag.Uint64("seed", 174, "seed of when and what is killed")
	onto  = flag.String("backend", "cpu", "backend of the training processes")
	keep  = flag.String("keep", "", "folder for state and logs, instead of one that is deleted")
)

// tiny is a run of a few seconds with a checkpoint every second.
var tiny = []string{
	"hidden_size=32", "num_heads=2", "puzzle_emb_ndim=32", "puzzle_emb_len=2", "expansion=1", "l_layers=1", "halt_max_steps=4",
	"global_batch_size=4", "data_puzzles=32", "data_augmentations=3", "data_test_puzzles=8", "eval_puzzles=4", "final_eval_puzzles=8",
	"eval_batch_size=4", "lr_warmup_steps=10", "checkpoint_every_steps=10", "keep_checkpoints=3", "log_every_steps=5",
}

// binaries builds what is to be killed, once.
func binaries(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(root, "bin", "chaos")
	for _, b := range []struct{ name, dir, pkg string }{
		{"trmsweep", root, "./cmd/trmsweep"}, {"tctl", root, "./cmd/tctl"}, {"devstack", filepath.Join(root, "cmd", "devstack"), "."},
	} {
		args := []string{"build", "-o", filepath.Join(bin, b.name)}
		if b.name == devstack {
			args = append(args, "-ldflags", "-s -w")
		}
		cmd := exec.Command("go", append(args, b.pkg)...)
		cmd.Dir = b.dir
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("build %s: %v\n%s", b.name, err, text)
		}
	}
	return bin
}

func options(t *testing.T) Options {
	o := Options{Bin: binaries(t), Dir: t.TempDir(), Seed: *seed, Overrides: tiny, Backend: *onto, Heartbeat: 3 * time.Second, Logf: t.Logf}
	if *keep != "" {
		o.Dir = *keep
		if err := os.MkdirAll(o.Dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

func report(t *testing.T, o Options, out Outcome, err error) {
	t.Helper()
	if err != nil {
		for _, name := range []string{workers, devstack} {
			if text, rerr := os.ReadFile(filepath.Join(o.Dir, name+".log")); rerr == nil {
				t.Logf("end of %s.log:\n%s", name, text[max(0, len(text)-4000):])
			}
		}
		t.Fatal(err)
	}
	t.Log(out)
}

// Two experiments through a few accidents on the real binaries; with -kills, a
// sweep of several experiments, again with other seeds, until so many have happened.
func TestChaos(t *testing.T) {
	o := options(t)
	if *kills == 0 {
		o.Experiments = []string{"e2_2_t2_n2", "e2_2_t2_n6"}
		o.Kills = 5
		o.GapLeast = 1500 * time.Millisecond
		o.GapMost = 3 * time.Second
		o.Overrides = append(o.Overrides, "epochs=48", "eval_interval_epochs=16")
	} else {
		o.Sweep = "TNSweep"
		o.Kills = *kills
		o.GapLeast = 2 * time.Second
		o.GapMost = 8 * time.Second
		o.Experiments = []string{"e2_2_t2_n2", "e2_2_t2_n6", "e2_2_t3_n4", "e2_2_t4_n6"}
		o.Overrides = append(o.Overrides, "epochs=96", "eval_interval_epochs=24")
	}
	out, err := Run(t.Context(), o)
	report(t, o, out, err)
}
