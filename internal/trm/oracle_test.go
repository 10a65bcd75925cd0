package trm

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// oracleConfig differs from the golden folder's cases in every size.
func oracleConfig() Config {
	return Config{BatchSize: 3, GlobalBatchSize: 6, SeqLen: 20, VocabSize: 9, NumPuzzleIdentifiers: 3, PuzzleEmbNDim: 24, PuzzleEmbLen: 2,
		HCycles: 3, LCycles: 1, LLayers: 1, HiddenSize: 32, NumHeads: 2, Expansion: 3, PosEncodings: "learned", RMSNormEps: 1e-3, RoPETheta: 100,
		HaltMaxSteps: 3, NoACTContinue: true, ForwardDType: "float32", LossType: "stablemax_cross_entropy",
		WeightDecay: 0.3, Beta1: 0.8, Beta2: 0.9, PuzzleEmbWeightDecay: 0.2, EMARate: 0.7}
}

// TestFoldersOfOtherSizes runs the golden tests on numbers that the oracle
// computed for other settings: nothing may stand in the tests as a constant.
func TestFoldersOfOtherSizes(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"learned positions": func(*Config) {},
		"no positions": func(c *Config) {
			c.PosEncodings, c.HiddenSize = "none", 48
			c.LCycles, c.HCycles = 2, 1
		},
		"rope, 2 layers": func(c *Config) {
			c.PosEncodings, c.SeqLen = "rope", 13
			c.LLayers, c.HCycles = 2, 2
		},
		"mlp":                   func(c *Config) { c.MLPT, c.PosEncodings = true, "none" },
		"mlp and learned":       func(c *Config) { c.MLPT = true },
		"puzzle length by size": func(c *Config) { c.PuzzleEmbLen, c.PuzzleEmbNDim = 0, 40 },
		"no puzzles":            func(c *Config) { c.PuzzleEmbLen, c.PuzzleEmbNDim, c.NumPuzzleIdentifiers = 0, 0, 1 },
		"no puzzles, mlp": func(c *Config) {
			c.MLPT = true
			c.PuzzleEmbLen, c.PuzzleEmbNDim, c.NumPuzzleIdentifiers = 0, 0, 1
		},
		"softmax":             func(c *Config) { c.LossType = "softmax_cross_entropy" },
		"target Q":            func(c *Config) { c.NoACTContinue = false },
		"one step per puzzle": func(c *Config) { c.HaltMaxSteps, c.NoACTContinue = 1, false },
		"batch of one":        func(c *Config) { c.BatchSize, c.GlobalBatchSize, c.VocabSize = 1, 1, 5 },
	} {
		t.Run(name, func(t *testing.T) {
			c := oracleConfig()
			change(&c)
			f := newFolder(t)
			f.manifest(map[string]any{"cases": map[string]any{"case": f.training("case", c, 4)}})
			t.Setenv(goldenEnv, f.dir)
			t.Run("files", TestGoldenFiles)
			t.Run("training", TestGoldenTraining)
			t.Run("state dict", goldenStateDict)
		})
	}
}

// TestDamagedFoldersFail changes one setting or file at a time of a folder that
// passes: the golden tests, in a process of their own, must not pass.
func TestDamagedFoldersFail(t *testing.T) {
	c := oracleConfig()
	c.PosEncodings = "rope"
	f := newFolder(t)
	kase := f.training("case", c, 3)
	run := func(t *testing.T) error {
		t.Helper()
		f.manifest(map[string]any{"cases": map[string]any{"case": kase}})
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^(TestGoldenFiles|TestGoldenTraining)$")
		cmd.Env = append(os.Environ(), goldenEnv+"="+f.dir)
		out, err := cmd.CombinedOutput()
		if err != nil && !strings.Contains(string(out), "--- FAIL") {
			t.Fatalf("%v: %s", err, out)
		}
		return err
	}
	if err := run(t); err != nil {
		t.Fatal(err)
	}
	part := func(name string) map[string]any { return kase[name].(map[string]any) }
	for _, d := range []struct {
		where, key string
		value      any
	}{{"config", "rms_norm_eps", 1e-5}, {"config", "rope_theta", 1e4}, {"config", "H_cycles", 2}, {"config", "L_cycles",
		2}, {"config", "L_layers", 2},
		{"config", "num_heads", 4}, {"config", "pos_encodings", "none"}, {"config", "halt_max_steps", 2}, {"config",
			"halt_exploration_prob", 0.1},
		{"config", "puzzle_emb_len", 3}, {"config", "puzzle_emb_ndim", 25}, {"config", "vocab_size", 10}, {"config",
			"seq_len", 21}, {"config", "batch_size", 2},
		{"config", "expansion", 13}, {"config", "mlp_t", true}, {"config", "no_ACT_continue", false}, {"", "global_batch_size", 3},
		{"train", "lr", 1e-3}, {"train", "weight_decay", 0.1}, {"train", "beta1", 0.9}, {"train", "beta2", 0.95}, {"train",
			"puzzle_emb_lr", 1e-3},
		{"train", "puzzle_emb_weight_decay", 0.1}, {"train", "ema_mu", 0.9}, {"loss", "type",
			"softmax_cross_entropy"}, {"loss", "q_halt_weight", 1.0}} {
		t.Run(d.key, func(t *testing.T) {
			in := kase
			if d.where != "" {
				in = part(d.where)
			}
			old := in[d.key]
			in[d.key] = d.value
			if run(t) == nil {
				t.Errorf("%v instead of %v passes", d.value, old)
			}
			in[d.key] = old
		})
	}
	name := filepath.Join(f.dir, "case/step3/logits.npy")
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for what, damage := range map[string]func() error{
		"missing": func() error { return os.Remove(name) },
		"cut":     func() error { return os.WriteFile(name, whole[:len(whole)-4], 0o600) },
		"shape": func() error {
			return os.WriteFile(name, bytes.Replace(whole, []byte("20, 9"), []byte("9, 20"), 1), 0o600)
		},
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		if run(t) == nil {
			t.Errorf("a file that is wrong (%s) passes", what)
		}
	}
}
