// Package experiment is the resolved description of one training run: what the
// YAML files, a profile and the command line amount to. It composes, validates,
// expands sweeps, hashes and estimates; it never trains and knows no service.
package experiment

// Spec is everything that decides what one run computes. A Spec is valid only if it came out of Resolve (or passed
// Validate) and is never changed afterwards.
//
// Every field is a configuration key. Its tags are the key (json and mapstructure), its unit, and what it does in the
// hash (see key): the comment of the field and the tags become docs/CONFIG.md.
type Spec struct {
	// Identity and operation.

	// Name is the experiment: the name of its file below experiments/, or of the run that goes on from it.
	Name string `json:"name" mapstructure:"name" hash:"no"`
	// Phase is the part of the study that the experiment belongs to: baseline, ablations, scaling or advanced.
	Phase string `json:"phase" mapstructure:"phase" hash:"no"`
	// Description says in one line what the experiment asks.
	Description string `json:"description,omitempty" mapstructure:"description" hash:"no"`
	// Reference is the experiment that the results are compared with.
	Reference string `json:"reference,omitempty" mapstructure:"reference" hash:"no"`
	// Profile is the profile that scaled the experiment.
	Profile string `json:"profile" mapstructure:"profile" hash:"no"`
	// PaperExactAccuracy is the exact accuracy that was published, 0 if none was.
	PaperExactAccuracy float64 `json:"paper_exact_accuracy,omitempty" mapstructure:"paper_exact_accuracy" hash:"no" unit:"percent"`
	// PaperNote says how the published run differs from this one.
	PaperNote string `json:"paper_note,omitempty" mapstructure:"paper_note" hash:"no"`
	// CheckpointEverySteps is the interval between checkpoints; 0 lets the training choose it from what a save costs and how
	// often hosts are taken back.
	CheckpointEverySteps int `json:"checkpoint_every_steps" mapstructure:"checkpoint_every_steps" hash:"no" unit:"steps"`
	// KeepCheckpoints is how many of the newest checkpoints are kept, besides the best one.
	KeepCheckpoints int `json:"keep_checkpoints" mapstructure:"keep_checkpoints" hash:"no" unit:"checkpoints"`
	// LogEverySteps is the interval between lines of the metrics log.
	LogEverySteps int `json:"log_every_steps" mapstructure:"log_every_steps" hash:"no" unit:"steps"`
	// Placement is what a training process has to itself: host (the whole host) or chip (one chip of a TPU host, so that a
	// host trains as many experiments as it has chips). It computes on one chip in both cases.
	Placement string `json:"placement" mapstructure:"placement" hash:"no"`
	// Seed decides the initial weights, the order of the data and the exploration. A run is named by the hash and the seed.
	Seed int64 `json:"seed" mapstructure:"seed" hash:"no"`

	// Model.

	// HCycles is T: the recursions of a supervision step, of which the last one has gradients.
	HCycles int `json:"h_cycles" mapstructure:"h_cycles" hash:"yes" unit:"cycles"`
	// LCycles is n: the updates of z_L in a recursion.
	LCycles int `json:"l_cycles" mapstructure:"l_cycles" hash:"yes" unit:"updates"`
	// LLayers is the number of blocks in the stack.
	LLayers int `json:"l_layers" mapstructure:"l_layers" hash:"yes" unit:"blocks"`
	// HiddenSize is the width of the model.
	HiddenSize int `json:"hidden_size" mapstructure:"hidden_size" hash:"yes" unit:"features"`
	// NumHeads is the number of attention heads. They exist only with mlp_t: false; hidden_size must divide by them in any
	// case.
	NumHeads int `json:"num_heads" mapstructure:"num_heads" hash:"yes" unit:"heads"`
	// Expansion is the inner width of a SwiGLU: expansion * width * 2/3, rounded up to a multiple of 256.
	Expansion float64 `json:"expansion" mapstructure:"expansion" hash:"yes"`
	// MLPT mixes positions with a SwiGLU over the sequence instead of with attention.
	MLPT bool `json:"mlp_t" mapstructure:"mlp_t" hash:"yes"`
	// PosEncodings is none, learned or rope; rope needs attention.
	PosEncodings string `json:"pos_encodings" mapstructure:"pos_encodings" hash:"yes"`
	// PuzzleEmbNDim is the size of the puzzle embedding, 0 for a model without one.
	PuzzleEmbNDim int `json:"puzzle_emb_ndim" mapstructure:"puzzle_emb_ndim" hash:"yes" unit:"features"`
	// PuzzleEmbLen is the number of positions before the 81 cells; 0 takes as many as the puzzle embedding fills.
	PuzzleEmbLen int `json:"puzzle_emb_len" mapstructure:"puzzle_emb_len" hash:"yes" unit:"positions"`
	// HaltMaxSteps is N_sup: the most supervision steps of an example, and the number of them in an evaluation.
	HaltMaxSteps int `json:"halt_max_steps" mapstructure:"halt_max_steps" hash:"yes" unit:"supervision steps"`
	// HaltExplorationProb is how often an example gets a random least number of supervision steps.
	HaltExplorationProb float64 `json:"halt_exploration_prob" mapstructure:"halt_exploration_prob" hash:"yes" unit:"probability"`
	// NoACTContinue learns only when to halt; false learns the value of going on too, from one more forward pass.
	NoACTContinue bool `json:"no_act_continue" mapstructure:"no_act_continue" hash:"yes"`
	// ForwardDType is the number type of the forward and backward pass: float32 or bfloat16. Weights are float32.
	ForwardDType string `json:"forward_dtype" mapstructure:"forward_dtype" hash:"yes"`
	// LossType is stablemax_cross_entropy or softmax_cross_entropy.
	LossType string `json:"loss_type" mapstructure:"loss_type" hash:"yes"`

	// Optimization.

	// GlobalBatchSize is the number of examples of an optimizer step.
	GlobalBatchSize int `json:"global_batch_size" mapstructure:"global_batch_size" hash:"yes" unit:"rows"`
	// GradientShards is the number of equal parts that a batch is cut into, a power of two that divides it. One part is computed at a
	// time, so that a device needs memory for global_batch_size / gradient_shards rows; the gradients are added in a fixed order.
	GradientShards int `json:"gradient_shards" mapstructure:"gradient_shards" hash:"unless=1" unit:"shards"`
	// Epochs is the length of the training; an epoch is one augmentation of every puzzle.
	Epochs int `json:"epochs" mapstructure:"epochs" hash:"yes" unit:"epochs"`
	// EvalIntervalEpochs is the interval between evaluations; epochs must divide by it.
	EvalIntervalEpochs int `json:"eval_interval_epochs" mapstructure:"eval_interval_epochs" hash:"yes" unit:"epochs"`
	// EvalBatchSize is the number of puzzles that an evaluation computes at once.
	EvalBatchSize int `json:"eval_batch_size" mapstructure:"eval_batch_size" hash:"yes" unit:"rows"`
	// EvalPuzzles is the number of test puzzles of an evaluation while training, 0 for all.
	EvalPuzzles int `json:"eval_puzzles" mapstructure:"eval_puzzles" hash:"yes" unit:"puzzles"`
	// FinalEvalPuzzles is the number of test puzzles of the last evaluation, 0 for all.
	FinalEvalPuzzles int `json:"final_eval_puzzles" mapstructure:"final_eval_puzzles" hash:"yes" unit:"puzzles"`
	// LR is the learning rate after the warm-up.
	LR float64 `json:"lr" mapstructure:"lr" hash:"yes"`
	// LRMinRatio is where the cosine ends; 1 keeps the learning rate constant after the warm-up.
	LRMinRatio float64 `json:"lr_min_ratio" mapstructure:"lr_min_ratio" hash:"yes" unit:"fraction of lr"`
	// LRWarmupSteps is the length of the linear warm-up from 0.
	LRWarmupSteps int `json:"lr_warmup_steps" mapstructure:"lr_warmup_steps" hash:"yes" unit:"steps"`
	// WeightDecay is that of AdamATan2, which trains all weights but the puzzle embedding.
	WeightDecay float64 `json:"weight_decay" mapstructure:"weight_decay" hash:"yes"`
	// Beta1 is the decay of the first moment.
	Beta1 float64 `json:"beta1" mapstructure:"beta1" hash:"yes"`
	// Beta2 is the decay of the second moment.
	Beta2 float64 `json:"beta2" mapstructure:"beta2" hash:"yes"`
	// PuzzleEmbLR is the learning rate of the puzzle embedding; 0 stands for the value of lr.
	PuzzleEmbLR float64 `json:"puzzle_emb_lr" mapstructure:"puzzle_emb_lr" hash:"yes"`
	// PuzzleEmbWeightDecay is the weight decay of the puzzle embedding.
	PuzzleEmbWeightDecay float64 `json:"puzzle_emb_weight_decay" mapstructure:"puzzle_emb_weight_decay" hash:"yes"`
	// EMA evaluates an exponential moving average of the weights instead of the weights.
	EMA bool `json:"ema" mapstructure:"ema" hash:"yes"`
	// EMARate is the part of the average that a step keeps.
	EMARate float64 `json:"ema_rate" mapstructure:"ema_rate" hash:"yes"`
	// FreezeWeights trains the puzzle embedding only.
	FreezeWeights bool `json:"freeze_weights" mapstructure:"freeze_weights" hash:"yes"`

	// Data.

	// DataSource is where the puzzles come from: generate or generate:PROFILE, a CSV file or folder, gs://BUCKET/FOLDER, or
	// hf:OWNER/NAME[@REVISION].
	DataSource string `json:"data_source" mapstructure:"data_source" hash:"yes"`
	// DataPuzzles is the number of training puzzles.
	DataPuzzles int `json:"data_puzzles" mapstructure:"data_puzzles" hash:"yes" unit:"puzzles"`
	// DataAugmentations is the number of symmetric variants that are made of every training puzzle beside itself.
	DataAugmentations int `json:"data_augmentations" mapstructure:"data_augmentations" hash:"yes" unit:"per puzzle"`
	// DataMinRating leaves out puzzles that cost a solver fewer backtracks.
	DataMinRating int `json:"data_min_rating" mapstructure:"data_min_rating" hash:"yes" unit:"backtracks"`
	// DataTestPuzzles is the number of test puzzles, 0 for all of the source.
	DataTestPuzzles int `json:"data_test_puzzles" mapstructure:"data_test_puzzles" hash:"yes" unit:"puzzles"`
	// DataSeed decides which puzzles are chosen or generated, and their augmentations.
	DataSeed int64 `json:"data_seed" mapstructure:"data_seed" hash:"yes"`
}

// SeqLen and VocabSize are those of Sudoku-Extreme.
const (
	SeqLen    = 81
	VocabSize = 11
)
