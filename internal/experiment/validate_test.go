package experiment_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"trmsweep/internal/experiment"
)

func TestValidate(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*experiment.Spec)
		key    string // "" = valid
		msg    string
	}{
		{"paper", func(*experiment.Spec) {}, "", ""},
		{"hidden zero", func(s *experiment.Spec) { s.HiddenSize, s.PuzzleEmbNDim, s.PuzzleEmbLen = 0, 0, 0 }, "hidden_size", "too small"},
		{"too large", func(s *experiment.Spec) { s.EvalBatchSize = math.MaxInt32 + 1 }, "eval_batch_size", "too large"},
		{"layers", func(s *experiment.Spec) { s.LLayers = 1025 }, "l_layers", "the most is 1024"},
		{"cycles", func(s *experiment.Spec) { s.HCycles = math.MaxInt32 }, "h_cycles", "the most is 1024"},
		{"width", func(s *experiment.Spec) { s.HiddenSize = math.MaxInt32 }, "hidden_size", "the most is 1048576"},
		{"no machine's memory", func(s *experiment.Spec) { s.HiddenSize, s.LLayers = 1<<20, 1000 }, "hidden_size", "the most is 32768"},
		{"one layer of the widest", func(s *experiment.Spec) { s.HiddenSize = 1 << 20 }, "hidden_size", "an experiment trains on one machine"},
		{"a carry of no machine's memory", func(s *experiment.Spec) { s.GlobalBatchSize, s.HiddenSize = 1<<24, 1<<14 }, "hidden_size",
			"global_batch_size 16777216"},
		{"the largest that people train", func(s *experiment.Spec) { s.HiddenSize, s.LLayers, s.GlobalBatchSize = 1<<14, 128, 4096 }, "", ""},
		{"rows beyond the indices", func(s *experiment.Spec) { s.DataAugmentations = 10_000_000 }, "data_augmentations",
			"more than 2147483646 rows"},
		{"supervision without end", func(s *experiment.Spec) { s.HaltMaxSteps = 1_000_000_000 }, "halt_max_steps", "the most is 4096"},
		{"embedding of many positions", func(s *experiment.Spec) {
			s.HiddenSize = 1
			s.NumHeads = 1
			s.PuzzleEmbNDim = 1 << 20
			s.PuzzleEmbLen = 0
		}, "puzzle_emb_ndim", "the most is 4096"},
		{"odd rope head", func(s *experiment.Spec) {
			s.MLPT = false
			s.PosEncodings = "rope"
			s.HiddenSize = 510
			s.NumHeads = 34
		}, "num_heads", "even head size"},
		{"rope without attention", func(s *experiment.Spec) { s.PosEncodings = "rope" }, "pos_encodings", "mlp_t"},
		{"learned with mlp_t", func(s *experiment.Spec) { s.PosEncodings = "learned" }, "", ""},
		{"misspelt encoding", func(s *experiment.Spec) { s.PosEncodings = "roope" }, "pos_encodings", "the nearest is rope"},
		{"dtype", func(s *experiment.Spec) { s.ForwardDType = "bf16" }, "forward_dtype", "bfloat16"},
		{"loss", func(s *experiment.Spec) { s.LossType = "softmax" }, "loss_type", "softmax_cross_entropy"},
		{"embedding too wide", func(s *experiment.Spec) { s.PuzzleEmbNDim = 16*512 + 1 }, "puzzle_emb_ndim", "does not fit"},
		{"embedding positions alone", func(s *experiment.Spec) { s.PuzzleEmbNDim = 0 }, "puzzle_emb_len", "set both to 0"},
		{"no embedding", func(s *experiment.Spec) { s.PuzzleEmbNDim, s.PuzzleEmbLen = 0, 0 }, "", ""},
		{"shards of unequal size", func(s *experiment.Spec) { s.GlobalBatchSize = 48 }, "gradient_shards", "the largest that does is 16"},
		{"three shards", func(s *experiment.Spec) { s.GlobalBatchSize, s.GradientShards = 768, 3 }, "gradient_shards", "not a power of two"},
		{"no shard", func(s *experiment.Spec) { s.GradientShards = 0 }, "gradient_shards", "too small, the least is 1"},
		{"more shards than rows", func(s *experiment.Spec) { s.GradientShards = 2048 }, "gradient_shards", "does not divide"},
		{"one row a shard", func(s *experiment.Spec) { s.GradientShards = 1024 }, "", ""},
		{"probability", func(s *experiment.Spec) { s.HaltExplorationProb = 1.1 }, "halt_exploration_prob", "[0, 1]"},
		{"NaN", func(s *experiment.Spec) { s.WeightDecay = math.NaN() }, "weight_decay", "out of range"},
		{"infinite", func(s *experiment.Spec) { s.LR = math.Inf(1) }, "lr", "out of range"},
		{"lr zero", func(s *experiment.Spec) { s.LR = 0 }, "lr", "> 0"},
		{"beta one", func(s *experiment.Spec) { s.Beta2 = 1 }, "beta2", "[0, 1)"},
		{"supervision", func(s *experiment.Spec) { s.HaltMaxSteps = 0 }, "halt_max_steps", "too small"},
		{"no step", func(s *experiment.Spec) {
			s.DataPuzzles = 10
			s.EvalIntervalEpochs = 100
			s.Epochs = 1000
			s.LRWarmupSteps = 0
		}, "eval_interval_epochs", "less than one batch"},
		{"interval", func(s *experiment.Spec) { s.EvalIntervalEpochs = 4999 }, "eval_interval_epochs", "does not divide"},
		{"warm-up", func(s *experiment.Spec) { s.LRWarmupSteps = 48_829 }, "lr_warmup_steps", "never be reached"},
		{"cosine", func(s *experiment.Spec) { s.LRMinRatio = 0.1 }, "", ""},
		{"placement", func(s *experiment.Spec) { s.Placement = "pod" }, "placement", "not available"},
		{"phase", func(s *experiment.Spec) { s.Phase = "ablation" }, "phase", "ablations"},
		{"endless tests", func(s *experiment.Spec) { s.DataSource = "generate" }, "data_test_puzzles", "how many"},
		{"no source", func(s *experiment.Spec) { s.DataSource = " " }, "data_source", "is empty"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := resolve(t, "e1_3_batch_1024", "paper")
			tc.change(&s)
			err := s.Validate()
			var list experiment.Faults
			errors.As(err, &list)
			switch {
			case tc.key == "" && err != nil:
				t.Errorf("want it valid, got %v", err)
			case tc.key != "":
				for _, f := range list {
					if f.Key == tc.key && strings.Contains(f.Msg, tc.msg) {
						return
					}
				}
				t.Errorf("got %v, want %s: ...%s...", err, tc.key, tc.msg)
			}
		})
	}
}

// Every key at its largest value makes a model whose costs are whole numbers, not what is left of an
// overflow: only then can its size be found too large.
func TestLargestModelHasCosts(t *testing.T) {
	s := resolve(t, "e1_3_batch_1024", "paper")
	s.HiddenSize = 1 << 20
	s.NumHeads = 1
	s.LLayers = 1024
	s.Expansion = 64
	s.PuzzleEmbNDim = 1 << 20
	s.PuzzleEmbLen = 4096
	s.GlobalBatchSize = 1 << 24
	s.KeepCheckpoints = 10_000
	s.HCycles = 1024
	s.LCycles = 1024
	s.HaltMaxSteps = experiment.MaxSupervisionSteps
	s.EvalBatchSize = 1 << 24
	s.Epochs = math.MaxInt32
	s.EvalIntervalEpochs = math.MaxInt32
	s.DataPuzzles = math.MaxInt32 - 1
	s.LRWarmupSteps = 0
	s.DataAugmentations = 0
	for _, mlpT := range []bool{true, false} {
		s.MLPT, s.ForwardDType = mlpT, "float32"
		var faults experiment.Faults
		if err := s.Validate(); !errors.As(err, &faults) || len(faults) != 1 || faults[0].Key != "hidden_size" {
			t.Fatal(err)
		}
		least := int64(1) << 57
		if p, c, kept := s.Params(), s.CheckpointBytes(), s.StoredBytes(); p < least || c < 4*p || kept < c {
			t.Errorf("mlp_t %v: %d parameters, %d bytes, %d bytes kept", mlpT, p, c, kept)
		}
		for name, x := range map[string]float64{
			"FLOPs a step": s.FLOPsPerStep(), "FLOPs": s.TotalFLOPs(), "FLOPs of a puzzle": s.EvalFLOPs(), "steps": float64(s.TotalSteps()),
		} {
			if !(x > 0) || math.IsInf(x, 0) {
				t.Errorf("mlp_t %v: %s %v", mlpT, name, x)
			}
		}
	}
}
