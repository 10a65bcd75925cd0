package experiment

import (
	"math"
	"slices"
	"strings"
)

// Validate reports everything that is wrong with the spec at once, as Faults
// that name the key.
func (s Spec) Validate() error {
	var f Faults
	s.validateNumbers(&f)
	s.validateModel(&f)
	s.validateSchedule(&f)
	s.validateData(&f)
	return f.orNil()
}

// The most that a model may be: far beyond what any machine trains, and small enough
// for parameters, bytes and steps to be whole numbers of 64 bits.
const (
	// MaxSupervisionSteps bounds halt_max_steps, and the steps of an evaluation; the paper makes 16.
	MaxSupervisionSteps = 4096

	maxCycles    = 1024
	maxLayers    = 1024
	maxWidth     = 1 << 20
	maxPositions = 4096
	maxBatch     = 1 << 24
	maxKept      = 10_000
	maxRows      = math.MaxInt32 - 1 // of a dataset, whose indices are 32 bits wide
	// maxState bounds the arrays of the training state: one experiment trains on one machine, and
	// none has more memory. It is that of 2e12 parameters.
	maxState  = 32 << 40
	anyNumber = math.MaxInt32
)

func oneOf(f *Faults, key, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		f.add(key, "%q is not one of %s%s", value, strings.Join(allowed, ", "), Suggest("; the nearest is %s", value, allowed))
	}
}

func (s Spec) validateNumbers(f *Faults) {
	for _, c := range []struct {
		key   string
		value int
		least int
		most  int
	}{
		{"h_cycles", s.HCycles, 1, maxCycles}, {"l_cycles", s.LCycles, 1, maxCycles}, {"l_layers", s.LLayers, 1, maxLayers},
		{"hidden_size", s.HiddenSize, 1, maxWidth}, {"num_heads", s.NumHeads, 1, maxWidth},
		{"puzzle_emb_ndim", s.PuzzleEmbNDim, 0, maxWidth}, {"puzzle_emb_len", s.PuzzleEmbLen, 0, maxPositions},
		{"halt_max_steps", s.HaltMaxSteps, 1, MaxSupervisionSteps},
		{"global_batch_size", s.GlobalBatchSize, 1, maxBatch}, {"gradient_shards", s.GradientShards, 1, maxBatch},
		{"epochs", s.Epochs, 1, anyNumber}, {"eval_interval_epochs", s.EvalIntervalEpochs, 1, anyNumber},
		{"eval_batch_size", s.EvalBatchSize, 1, maxBatch},
		{"eval_puzzles", s.EvalPuzzles, 0, anyNumber}, {"final_eval_puzzles", s.FinalEvalPuzzles, 0, anyNumber},
		{"lr_warmup_steps", s.LRWarmupSteps, 0, anyNumber},
		{"data_puzzles", s.DataPuzzles, 1, anyNumber}, {"data_augmentations", s.DataAugmentations, 0, anyNumber},
		{"data_min_rating", s.DataMinRating, 0, anyNumber}, {"data_test_puzzles", s.DataTestPuzzles, 0, anyNumber},
		{"checkpoint_every_steps", s.CheckpointEverySteps, 0, anyNumber}, {"keep_checkpoints", s.KeepCheckpoints, 1, maxKept},
		{"log_every_steps", s.LogEverySteps, 1, anyNumber},
	} {
		switch {
		case c.value < c.least:
			f.add(c.key, "%d is too small, the least is %d", c.value, c.least)
		case c.value > c.most:
			f.add(c.key, "%d is too large, the most is %d", c.value, c.most)
		}
	}
	if s.Seed < 0 {
		f.add("seed", "%d is too small, the least is 0", s.Seed)
	}
	const (
		positive  = "> 0"
		unit      = "in [0, 1]"
		below1    = "in [0, 1)"
		notNeg    = ">= 0"
		percent   = "in [0, 100]"
		unlimited = math.MaxFloat64
	)
	for _, c := range []struct {
		key    string
		value  float64
		lo, hi float64
		rule   string
	}{
		{"expansion", s.Expansion, 0, 64, positive + " and <= 64"},
		{"halt_exploration_prob", s.HaltExplorationProb, 0, 1, unit},
		{"lr", s.LR, 0, unlimited, positive}, {"lr_min_ratio", s.LRMinRatio, 0, 1, unit},
		{"weight_decay", s.WeightDecay, 0, unlimited, notNeg}, {"puzzle_emb_weight_decay", s.PuzzleEmbWeightDecay, 0, unlimited, notNeg},
		{"puzzle_emb_lr", s.PuzzleEmbLR, 0, unlimited, notNeg},
		{"beta1", s.Beta1, 0, 1, below1}, {"beta2", s.Beta2, 0, 1, below1}, {"ema_rate", s.EMARate, 0, 1, below1},
		{"paper_exact_accuracy", s.PaperExactAccuracy, 0, 100, percent},
	} {
		outside := math.IsNaN(c.value) || c.value < c.lo || c.value > c.hi
		notPositive := strings.HasPrefix(c.rule, positive) && c.value <= 0
		notBelow1 := c.rule == below1 && c.value >= 1
		if outside || notPositive || notBelow1 {
			f.add(c.key, "%v is out of range, want a number %s", c.value, c.rule)
		}
	}
}

func (s Spec) validateModel(f *Faults) {
	oneOf(f, "pos_encodings", s.PosEncodings, "none", "learned", "rope")
	oneOf(f, "forward_dtype", s.ForwardDType, "float32", "bfloat16")
	oneOf(f, "loss_type", s.LossType, "stablemax_cross_entropy", "softmax_cross_entropy")
	if s.HiddenSize > 0 && s.NumHeads > 0 {
		switch dim := s.HiddenSize / s.NumHeads; {
		case s.HiddenSize%s.NumHeads != 0:
			f.add("num_heads", "hidden_size %d is not divisible by %d heads", s.HiddenSize, s.NumHeads)
		case s.PosEncodings == "rope" && dim%2 != 0:
			f.add("num_heads", "rope needs an even head size, %d/%d is %d", s.HiddenSize, s.NumHeads, dim)
		}
	}
	if bytes := s.CheckpointBytes(); s.sized() && bytes > maxState {
		f.add("hidden_size", "%d with l_layers %d, expansion %v and global_batch_size %d makes %d parameters and a training state of %d GiB, "+
			"the most is %d: an experiment trains on one machine, and none has more memory",
			s.HiddenSize, s.LLayers, s.Expansion, s.GlobalBatchSize, s.Params(), bytes>>30, int64(maxState)>>30)
	}
	if s.MLPT && s.PosEncodings == "rope" {
		f.add("pos_encodings", "rope rotates the queries and keys of attention, of which a model with mlp_t: true has none; want none or learned")
	}
	if s.Expansion > 0 && s.Expansion <= 64 && s.HiddenSize > 0 && SwiGLUInter(s.HiddenSize, s.Expansion) == 0 {
		f.add("expansion", "%v times hidden_size %d leaves no inner width", s.Expansion, s.HiddenSize)
	}
	switch {
	case s.PuzzleEmbPositions() > maxPositions && s.PuzzleEmbLen == 0:
		f.add("puzzle_emb_ndim", "%d fills %d positions of hidden_size %d, the most is %d", s.PuzzleEmbNDim, s.PuzzleEmbPositions(),
			s.HiddenSize, maxPositions)
	case s.PuzzleEmbNDim == 0 && s.PuzzleEmbLen > 0:
		f.add("puzzle_emb_len", "%d positions but puzzle_emb_ndim is 0: set both to 0 for a model without a puzzle embedding", s.PuzzleEmbLen)
	case s.PuzzleEmbLen > 0 && s.PuzzleEmbNDim > s.PuzzleEmbLen*s.HiddenSize:
		f.add("puzzle_emb_ndim", "%d does not fit into %d positions of hidden_size %d", s.PuzzleEmbNDim, s.PuzzleEmbLen, s.HiddenSize)
	}
}

// sized reports whether what the size of the model is counted from is within its bounds.
func (s Spec) sized() bool {
	width := s.HiddenSize >= 1 && s.HiddenSize <= maxWidth
	layers := s.LLayers >= 1 && s.LLayers <= maxLayers
	expansion := s.Expansion > 0 && s.Expansion <= 64
	batch := s.GlobalBatchSize >= 1 && s.GlobalBatchSize <= maxBatch
	embedding := s.PuzzleEmbNDim >= 0 && s.PuzzleEmbNDim <= maxWidth
	return width && layers && expansion && batch && embedding && s.PuzzleEmbPositions() <= maxPositions
}

func (s Spec) validateSchedule(f *Faults) {
	if s.Placement == "pod" {
		f.add("placement", "pod (one experiment over all hosts) is not available yet, want %s or %s", PlacementHost, PlacementChip)
	} else {
		oneOf(f, "placement", s.Placement, PlacementHost, PlacementChip)
	}
	if s.GlobalBatchSize >= 1 && s.GradientShards >= 1 {
		s.validateShards(f)
	}
	if s.EvalIntervalEpochs <= 0 || s.Epochs <= 0 || s.DataPuzzles <= 0 || s.GlobalBatchSize <= 0 {
		return
	}
	if s.Epochs%s.EvalIntervalEpochs != 0 {
		f.add("eval_interval_epochs", "%d does not divide epochs %d, so the run would not end with an evaluation", s.EvalIntervalEpochs, s.Epochs)
	}
	if s.StepsPerEval() < 1 {
		f.add("eval_interval_epochs", "%d epochs of %d puzzles are less than one batch of %d, so no step would be taken between evaluations",
			s.EvalIntervalEpochs, s.DataPuzzles, s.GlobalBatchSize)
	}
	if total := s.TotalSteps(); total > 0 && int64(s.LRWarmupSteps) > total {
		f.add("lr_warmup_steps", "%d is longer than the run of %d steps, so lr would never be reached", s.LRWarmupSteps, total)
	}
	if s.LRMinRatio < 1 && s.Iterations()*s.StepsPerEval() > s.TotalSteps() {
		f.add("lr_min_ratio", "%v: training of %d steps would run past the schedule's %d, where the cosine rises again", s.LRMinRatio,
			s.Iterations()*s.StepsPerEval(), s.TotalSteps())
	}
}

// validateShards wants shards of equal size whose number halves down to one: their gradients are added in pairs.
func (s Spec) validateShards(f *Faults) {
	n := s.GradientShards
	switch {
	case n&(n-1) != 0:
		f.add("gradient_shards", "%d is not a power of two: the gradients of the shards are added in pairs, and the sums again", n)
	case s.GlobalBatchSize%n != 0:
		f.add("gradient_shards", "%d does not divide global_batch_size %d: all shards have as many rows; the largest that does is %d",
			n, s.GlobalBatchSize, s.GlobalBatchSize&-s.GlobalBatchSize)
	}
}

func (s Spec) validateData(f *Faults) {
	oneOf(f, "phase", s.Phase, Phases...)
	counted := s.DataPuzzles > 0 && s.DataAugmentations >= 0
	if counted && s.DataPuzzles > maxRows/(s.DataAugmentations+1) {
		f.add("data_augmentations", "%d of each of %d puzzles are more than %d rows, the most that a dataset's indices can count",
			s.DataAugmentations, s.DataPuzzles, maxRows)
	}
	generated := s.DataSource == "generate" || strings.HasPrefix(s.DataSource, "generate:")
	switch {
	case strings.TrimSpace(s.DataSource) == "":
		f.add("data_source", "is empty, want generate, generate:PROFILE, a CSV file or folder, gs://bucket/file.csv or hf:owner/name")
	case generated && s.DataTestPuzzles == 0:
		f.add("data_test_puzzles", "0 means all, of which a generator has no end; want how many to make")
	}
}
