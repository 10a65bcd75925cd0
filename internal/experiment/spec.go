// Package experiment is the resolved description of one training run: what the
// YAML files, a profile and the command line amount to. It composes, validates,
// expands sweeps, hashes and estimates; it never trains and knows no service.
package experiment

// Spec is everything that decides what one run computes. Field tags are the
// configuration keys; a Spec is valid only if it came out of Resolve (or passed
// Validate) and is never changed afterwards.
type Spec struct {
	// Identity and operation: not part of the content hash.
	Name                 string  `json:"name" mapstructure:"name"`
	Phase                string  `json:"phase" mapstructure:"phase"` // baseline, ablations, scaling, advanced
	Description          string  `json:"description,omitempty" mapstructure:"description"`
	Reference            string  `json:"reference,omitempty" mapstructure:"reference"` // experiment that a comparison is made against
	Profile              string  `json:"profile" mapstructure:"profile"`
	PaperExactAccuracy   float64 `json:"paper_exact_accuracy,omitempty" mapstructure:"paper_exact_accuracy"` // percent, 0 = not published
	PaperNote            string  `json:"paper_note,omitempty" mapstructure:"paper_note"`                     // how the published run differs
	CheckpointEverySteps int     `json:"checkpoint_every_steps" mapstructure:"checkpoint_every_steps"`       // 0 = chosen while training
	KeepCheckpoints      int     `json:"keep_checkpoints" mapstructure:"keep_checkpoints"`
	LogEverySteps        int     `json:"log_every_steps" mapstructure:"log_every_steps"`
	XLAMetricsEverySteps int     `json:"xla_metrics_every_steps" mapstructure:"xla_metrics_every_steps"`
	Placement            string  `json:"placement" mapstructure:"placement"` // PlacementHost or PlacementChip; pod is refused until ranks exist
	// Seed of initial weights, data order, exploration. Not in the hash: a run is named by hash and seed.
	Seed int64 `json:"seed" mapstructure:"seed"`

	// Model.
	HCycles             int     `json:"h_cycles" mapstructure:"h_cycles"` // T
	LCycles             int     `json:"l_cycles" mapstructure:"l_cycles"` // n
	LLayers             int     `json:"l_layers" mapstructure:"l_layers"`
	HiddenSize          int     `json:"hidden_size" mapstructure:"hidden_size"`
	NumHeads            int     `json:"num_heads" mapstructure:"num_heads"`
	Expansion           float64 `json:"expansion" mapstructure:"expansion"`
	MLPT                bool    `json:"mlp_t" mapstructure:"mlp_t"`
	PosEncodings        string  `json:"pos_encodings" mapstructure:"pos_encodings"` // none, learned, rope
	PuzzleEmbNDim       int     `json:"puzzle_emb_ndim" mapstructure:"puzzle_emb_ndim"`
	PuzzleEmbLen        int     `json:"puzzle_emb_len" mapstructure:"puzzle_emb_len"`
	HaltMaxSteps        int     `json:"halt_max_steps" mapstructure:"halt_max_steps"` // N_sup
	HaltExplorationProb float64 `json:"halt_exploration_prob" mapstructure:"halt_exploration_prob"`
	NoACTContinue       bool    `json:"no_act_continue" mapstructure:"no_act_continue"`
	ForwardDType        string  `json:"forward_dtype" mapstructure:"forward_dtype"` // float32, bfloat16
	LossType            string  `json:"loss_type" mapstructure:"loss_type"`         // stablemax_cross_entropy, softmax_cross_entropy

	// Optimization.
	GlobalBatchSize      int     `json:"global_batch_size" mapstructure:"global_batch_size"`
	NumWorkers           int     `json:"num_workers" mapstructure:"num_workers"` // data-parallel workers the batch must divide by
	Epochs               int     `json:"epochs" mapstructure:"epochs"`           // one augmentation per puzzle each
	EvalIntervalEpochs   int     `json:"eval_interval_epochs" mapstructure:"eval_interval_epochs"`
	EvalBatchSize        int     `json:"eval_batch_size" mapstructure:"eval_batch_size"`
	EvalPuzzles          int     `json:"eval_puzzles" mapstructure:"eval_puzzles"`             // test puzzles per evaluation during training, 0 = all
	FinalEvalPuzzles     int     `json:"final_eval_puzzles" mapstructure:"final_eval_puzzles"` // test puzzles of the last evaluation, 0 = all
	LR                   float64 `json:"lr" mapstructure:"lr"`
	LRMinRatio           float64 `json:"lr_min_ratio" mapstructure:"lr_min_ratio"`
	LRWarmupSteps        int     `json:"lr_warmup_steps" mapstructure:"lr_warmup_steps"`
	WeightDecay          float64 `json:"weight_decay" mapstructure:"weight_decay"`
	Beta1                float64 `json:"beta1" mapstructure:"beta1"`
	Beta2                float64 `json:"beta2" mapstructure:"beta2"`
	PuzzleEmbLR          float64 `json:"puzzle_emb_lr" mapstructure:"puzzle_emb_lr"` // 0 in a file = the same as lr
	PuzzleEmbWeightDecay float64 `json:"puzzle_emb_weight_decay" mapstructure:"puzzle_emb_weight_decay"`
	EMA                  bool    `json:"ema" mapstructure:"ema"`
	EMARate              float64 `json:"ema_rate" mapstructure:"ema_rate"`
	FreezeWeights        bool    `json:"freeze_weights" mapstructure:"freeze_weights"`

	// Data.
	DataSource        string `json:"data_source" mapstructure:"data_source"` // generate[:profile], a CSV or folder, gs://..., hf:owner/name[@revision]
	DataPuzzles       int    `json:"data_puzzles" mapstructure:"data_puzzles"`
	DataAugmentations int    `json:"data_augmentations" mapstructure:"data_augmentations"`
	DataMinRating     int    `json:"data_min_rating" mapstructure:"data_min_rating"` // backtracks
	DataTestPuzzles   int    `json:"data_test_puzzles" mapstructure:"data_test_puzzles"`
	DataSeed          int64  `json:"data_seed" mapstructure:"data_seed"`
}

// SeqLen and VocabSize are those of Sudoku-Extreme.
const (
	SeqLen    = 81
	VocabSize = 11
)
