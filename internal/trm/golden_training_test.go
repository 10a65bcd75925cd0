package trm

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"testing"

	"trmsweep/internal/tensor"
)

type goldenStep struct {
	Logits     string             `json:"logits"`
	QHalt      []float64          `json:"q_halt_logits"`
	QContinue  []float64          `json:"q_continue_logits"`
	Loss       float64            `json:"loss"`
	LMLoss     float64            `json:"lm_loss"`
	QHaltLoss  float64            `json:"q_halt_loss"`
	Metrics    map[string]float64 `json:"metrics"`
	Steps      []float64          `json:"carry_steps"`
	Halted     []bool             `json:"halted"`
	IDs        []float64          `json:"current_puzzle_identifiers"`
	InputSum   []float64          `json:"current_inputs_sum"`
	LabelSum   []float64          `json:"current_labels_sum"`
	PredSum    []float64          `json:"preds_sum"`
	Gap        float64            `json:"preds_min_logit_gap"`
	ZH         sampled            `json:"z_H"`
	ZL         sampled            `json:"z_L"`
	Grads      map[string]sampled `json:"grads"`
	GradsStats map[string]stats   `json:"grads_stats"`
	Params     map[string]sampled `json:"params"`
	EMA        map[string]sampled `json:"ema"`
}

type goldenCase struct {
	Config map[string]any `json:"config"`
	Global int            `json:"global_batch_size"`
	Train  struct {
		LR       float64  `json:"lr"`
		WD       float64  `json:"weight_decay"`
		Beta1    float64  `json:"beta1"`
		Beta2    float64  `json:"beta2"`
		PuzzleLR float64  `json:"puzzle_emb_lr"`
		PuzzleWD float64  `json:"puzzle_emb_weight_decay"`
		EMA      float64  `json:"ema_mu"`
		Order    []string `json:"optimizer_order"`
	} `json:"train"`
	Loss struct {
		Type    string  `json:"type"`
		Epsilon float64 `json:"stablemax_epsilon"`
		QWeight float64 `json:"q_halt_weight"`
		Ignore  float64 `json:"ignore_label_id"`
	} `json:"loss"`
	Files map[string]string `json:"files"`
	Init  map[string]struct {
		File  string `json:"file"`
		Scale int    `json:"scale_log2"`
		Shape []int  `json:"shape"`
		Stats *stats `json:"stats"`
	} `json:"init"`
	Steps   []goldenStep `json:"steps"`
	Fragile map[string]struct {
		Index []int     `json:"index"`
		Value []float64 `json:"value"`
	} `json:"fragile_after_step1"`
	Tolerance []map[string]float64 `json:"suggested_tolerance"`
	shards    int                  // of the model under test
}

func (g goldenCase) config() Config {
	num := func(k string) int { v, _ := g.Config[k].(float64); return int(v) }
	real := func(k string) float64 { v, _ := g.Config[k].(float64); return v }
	str := func(k string) string { v, _ := g.Config[k].(string); return v }
	yes := func(k string) bool { v, _ := g.Config[k].(bool); return v }
	return Config{BatchSize: num("batch_size"), Shards: g.shards, GlobalBatchSize: g.Global, SeqLen: num("seq_len"),
		VocabSize:            num("vocab_size"),
		NumPuzzleIdentifiers: num("num_puzzle_identifiers"), PuzzleEmbNDim: num("puzzle_emb_ndim"), PuzzleEmbLen: num("puzzle_emb_len"),
		HCycles: num("H_cycles"), LCycles: num("L_cycles"), LLayers: num("L_layers"), HiddenSize: num("hidden_size"), NumHeads: num("num_heads"),
		Expansion: real("expansion"), MLPT: yes("mlp_t"), PosEncodings: str("pos_encodings"), RMSNormEps: real("rms_norm_eps"),
		RoPETheta: real("rope_theta"), HaltMaxSteps: num("halt_max_steps"), NoACTContinue: yes("no_ACT_continue"),
		ForwardDType: str("forward_dtype"), LossType: g.Loss.Type, WeightDecay: g.Train.WD, Beta1: g.Train.Beta1, Beta2: g.Train.Beta2,
		PuzzleEmbWeightDecay: g.Train.PuzzleWD, EMA: true, EMARate: g.Train.EMA}
}

// startState is the model's state with the case's start values in it.
func (g goldenCase) startState(t *testing.T, model *Model) tensor.State {
	t.Helper()
	state := model.InitState(0)
	for name, in := range g.Init {
		v, shape := npy(t, in.File)
		for i := range v {
			v[i] = math.Ldexp(v[i], in.Scale)
		}
		key := stateName("param/", name)
		if have, ok := state[key]; !ok || !slices.Equal(have.Shape, shape) || !slices.Equal(in.Shape, shape) {
			t.Fatalf("%s: the file has %v, the manifest %v, the model %v", name, shape, in.Shape, have.Shape)
		}
		if in.Stats != nil {
			in.Stats.check(t, "start value of "+name, v, 1e-6)
		}
		state[key] = fromFloats(v, shape)
		if _, ok := state["ema/"+name]; ok {
			state["ema/"+name] = state[key]
		}
	}
	c := model.Config()
	want := len(c.Params()) + 2
	if c.PuzzleEmbNDim > 0 {
		want++
	}
	if len(g.Init) != want {
		t.Fatalf("%d start values, the model has %d tensors", len(g.Init), want)
	}
	return state
}

// TestGoldenTraining trains the reference's cases on every backend; a folder that the oracle wrote it trains on one.
func TestGoldenTraining(t *testing.T) {
	if os.Getenv(goldenEnv) != "" {
		eachCase(t, func(t *testing.T, g goldenCase) { goldenTraining(t, g) })
		return
	}
	eachCase(t, func(t *testing.T, g goldenCase) {
		exact := g.traceOracle(t)
		onEach(t, func(t *testing.T) {
			t.Run("float32", func(t *testing.T) { g.againstOracle(t, goldenTraining(t, g), exact) })
			t.Run("bfloat16", func(t *testing.T) { g.bfloat16Step(t, exact[0]) })
		})
	})
}

// eachCase runs f on the training cases of the manifest.
func eachCase(t *testing.T, f func(t *testing.T, g goldenCase)) {
	t.Helper()
	var m struct{ Cases map[string]goldenCase }
	manifest(t, &m)
	if len(m.Cases) == 0 {
		t.Fatal("the manifest has no training cases")
	}
	for name, g := range m.Cases {
		t.Run(name, func(t *testing.T) { f(t, g) })
	}
}

// goldenTraining compares with the reference step by step and returns what the model computed.
func goldenTraining(t *testing.T, g goldenCase) (trace []traced) {
	t.Helper()
	c := g.config()
	if g.Loss.Epsilon >= lostEpsilon || g.Loss.QWeight != qHaltWeight {
		t.Fatalf("stablemax epsilon %v and q weight %v, the model has none and %v", g.Loss.Epsilon, g.Loss.QWeight, qHaltWeight)
	}
	if order := []string{"sign_sgd", "adam_atan2", "ema"}; !slices.Equal(g.Train.Order, order) {
		t.Fatalf("optimizers in the order %v, the model's is %v", g.Train.Order, order)
	}
	if p, _ := g.Config["halt_exploration_prob"].(float64); p != 0 {
		t.Fatalf("halt_exploration_prob is %v: the reference's draws cannot be repeated", p)
	}
	model := testModel(t, c)
	model.KeepOutputs(true)
	state := g.startState(t, model)
	if err := model.Load(state); err != nil {
		t.Fatal(err)
	}
	inputs, _ := npy(t, g.Files["inputs"])
	labels, _ := npy(t, g.Files["labels"])
	ids, _ := npy(t, g.Files["puzzle_identifiers"])
	cells := c.BatchSize * c.SeqLen
	if len(g.Steps) == 0 || len(inputs) != cells*len(g.Steps) || len(labels) != len(inputs) || len(ids) != c.BatchSize*len(g.Steps) {
		t.Fatalf("batches of %d inputs, %d labels, %d ids for %d steps of %d rows", len(inputs), len(labels), len(ids), len(g.Steps), c.BatchSize)
	}
	if len(g.Tolerance) != len(g.Steps) {
		t.Fatalf("tolerances for %d of %d steps", len(g.Tolerance), len(g.Steps))
	}
	for k, step := range g.Steps {
		tol := g.Tolerance[k]
		if res, err := model.Gradients(g.batchOf(t, k)); err != nil || !res.Finite {
			t.Fatalf("step %d: %+v, %v", k+1, res, err)
		}
		mt := lastMetrics(t, model)
		at := func(what string) string { return fmt.Sprintf("step %d %s", k+1, what) }
		tensors := traced{}
		trace = append(trace, tensors)
		g.checkOutputs(t, at, model, step, mt, tol, tensors)
		checkGradients(t, at, model, step, tol["grad_abs_over_tensor_absmax"], tensors)
		if err := model.Apply(int64(k+1), g.Train.LR, g.Train.PuzzleLR); err != nil {
			t.Fatal(err)
		}
		after, err := model.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		if k == 0 {
			overwriteFragile(t, model, g, state, after)
		}
		for name, a := range after {
			if kind, _ := cutKind(name); kind == "param" {
				tensors[name] = floats(t, a)
			}
		}
		for name, s := range step.Params {
			s.near(t, at(name), after[stateName("param/", name)], tol["param_abs"])
		}
		for name, s := range step.EMA {
			s.near(t, at("EMA of "+name), after["ema/"+name], tol["param_abs"])
		}
		for _, name := range []string{"const/H_init", "const/L_init"} {
			if string(after[name].Data) != string(state[name].Data) {
				t.Errorf("%s changed", at(name))
			}
		}
	}
	return trace
}

func checkGradients(t *testing.T, at func(string) string, model *Model, step goldenStep, rel float64, trace traced) {
	t.Helper()
	grads, err := model.LastGradients()
	if err != nil {
		t.Fatal(err)
	}
	for name, a := range grads {
		trace["grad/"+name] = floats(t, a)
	}
	if len(model.shards) > 1 { // the puzzle embedding's rows are summed, which the next update shows
		step.Grads, step.GradsStats = maps.Clone(step.Grads), maps.Clone(step.GradsStats)
		delete(step.Grads, localGrad)
		delete(step.GradsStats, localGrad)
		delete(grads, puzzleSum)
		delete(grads, idCount)
	}
	if len(step.Grads)+len(step.GradsStats) != len(grads) {
		t.Errorf("%s: %d with values, %d with statistics, the model has %d", at("gradients"), len(step.Grads), len(step.GradsStats), len(grads))
	}
	for name, s := range step.Grads {
		absmax := 0.0
		if want, _ := npy(t, s.File); len(want) > 0 {
			absmax = max(-slices.Min(want), slices.Max(want))
		}
		s.near(t, at("gradient of "+name), grads[name], rel*max(absmax, s.Stats.absmax()))
	}
	for name, s := range step.GradsStats {
		if _, ok := grads[name]; !ok {
			t.Errorf("%s: the model has none", at("gradient of "+name))
			continue
		}
		s.check(t, at("gradient of "+name), floats(t, grads[name]), rel*s.AbsMax)
	}
}

// overwriteFragile sets the entries whose first update only rounding decides, and their EMA, as the manifest says.
func overwriteFragile(t *testing.T, model *Model, g goldenCase, before, after tensor.State) {
	t.Helper()
	mu := float32(g.Train.EMA)
	for name, f := range g.Fragile {
		p, e, old := after["param/"+name].Data, after["ema/"+name].Data, before["ema/"+name].Data
		for i, at := range f.Index {
			v := float32(f.Value[i])
			binary.LittleEndian.PutUint32(p[4*at:], math.Float32bits(v))
			shadow := (1-mu)*v + mu*math.Float32frombits(binary.LittleEndian.Uint32(old[4*at:]))
			binary.LittleEndian.PutUint32(e[4*at:], math.Float32bits(shadow))
		}
	}
	if err := model.Load(after); err != nil {
		t.Fatal(err)
	}
}

func (g goldenCase) checkOutputs(t *testing.T, at func(string) string, model *Model, step goldenStep, mt Metrics,
	tol map[string]float64, trace traced) {
	t.Helper()
	out, err := model.LastOutputs()
	if err != nil {
		t.Fatal(err)
	}
	state, err := model.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	trace["logits"], trace["q_halt"] = floats(t, out["logits"]), floats(t, out["q_halt"])
	sampled{File: step.Logits}.near(t, at("logits"), out["logits"], tol["logits_abs"])
	near(t, at("q_halt"), floats(t, out["q_halt"]), step.QHalt, tol["q_halt_abs"], false)
	near(t, at("q_continue"), floats(t, out["q_continue"]), step.QContinue, tol["q_halt_abs"], false)
	reference, _ := npy(t, step.Logits)
	explained := g.lossSlope(trace["logits"], state["carry/labels"].Data) * distance(trace["logits"], reference)
	g.checkMetrics(t, at, model.Config(), state, step, mt, tol, explained)

	near(t, at("carry steps"), floats(t, state["carry/steps"]), step.Steps, 0, false)
	near(t, at("ids"), floats(t, state["carry/puzzle_ids"]), step.IDs, 0, false)
	halted := make([]float64, len(step.Halted))
	for i, h := range step.Halted {
		if h {
			halted[i] = 1
		}
	}
	near(t, at("halted"), floats(t, state["carry/halted"]), halted, 0, false)
	rows := len(step.Steps)
	near(t, at("inputs"), rowSums(floats(t, state["carry/inputs"]), rows), step.InputSum, 0, false)
	labels := floats(t, state["carry/labels"])
	for i, v := range labels {
		if v == 0 {
			labels[i] = g.Loss.Ignore
		}
	}
	near(t, at("labels"), rowSums(labels, rows), step.LabelSum, 0, false)
	cell := 0.0
	if step.loose(tol) { // one cell of a row may go either way
		cell = float64(model.Config().VocabSize - 1)
	}
	near(t, at("predictions"), rowSums(floats(t, out["preds"]), rows), step.PredSum, cell, false)
	step.ZH.near(t, at("z_H"), state["carry/z_H"], tol["z_abs"])
	step.ZL.near(t, at("z_L"), state["carry/z_L"], tol["z_abs"])
}

// loose says that rounding may decide a prediction.
func (s goldenStep) loose(tol map[string]float64) bool { return s.Gap < 2*tol["logits_abs"] }

// lossSlope is the length of the gradient of lm_loss by the logits.
func (g goldenCase) lossSlope(logits []float64, labels []byte) float64 {
	c, squares := g.config(), 0.0
	for i, label := range labels {
		if label == 0 {
			continue
		}
		row := labels[i/c.SeqLen*c.SeqLen : (i/c.SeqLen+1)*c.SeqLen]
		_, grad, _ := stableLoss(c.LossType, logits[i*c.VocabSize:(i+1)*c.VocabSize], int(label))
		for _, d := range grad {
			d /= float64(c.SeqLen - count(row, 0))
			squares += d * d
		}
	}
	return math.Sqrt(squares)
}

// distance is the length of the difference.
func distance(a, b []float64) float64 {
	squares := 0.0
	for i := range a {
		squares += (a[i] - b[i]) * (a[i] - b[i])
	}
	return math.Sqrt(squares)
}

// checkMetrics takes from the losses what the difference of the logits explains: one sum of thousands of rounding errors may come
// out near zero by chance, and so did those from which the manifest's loss_rel was made.
func (g goldenCase) checkMetrics(t *testing.T, at func(string) string, c Config, state tensor.State, step goldenStep, mt Metrics,
	tol map[string]float64, explained float64) {
	t.Helper()
	q := float64(c.BatchSize)*tol["q_halt_abs"] + 1e-6*step.QHaltLoss // the slope of the loss is at most one
	lm := explained + 1e-7*step.LMLoss                                // the reference rounds its losses to float32
	near(t, at("loss"), []float64{mt.Loss}, []float64{step.Loss}, lm+q/2+1e-7*step.Loss, false)
	near(t, at("lm_loss"), []float64{mt.LMLoss}, []float64{step.LMLoss}, lm, false)
	near(t, at("q_halt_loss"), []float64{mt.QHaltLoss}, []float64{step.QHaltLoss}, q, false)

	got := map[string]float64{"count": mt.Count, "accuracy": mt.Accuracy, "exact_accuracy": mt.ExactAccuracy,
		"q_halt_accuracy": mt.QHaltAccuracy,
		"steps":           mt.Steps, "lm_loss": mt.LMLoss, "q_halt_loss": mt.QHaltLoss, "q_continue_loss": mt.QContinueLoss}
	near1 := map[string]float64{"accuracy": 1e-6 * float64(c.BatchSize), "lm_loss": lm, "q_halt_loss": q, "q_continue_loss": q}
	if step.loose(tol) {
		least := c.SeqLen
		for row := range slices.Chunk(state["carry/labels"].Data, c.SeqLen) {
			if n := c.SeqLen - count(row, 0); n > 0 {
				least = min(least, n)
			}
		}
		near1["accuracy"], near1["exact_accuracy"], near1["q_halt_accuracy"] = 1.001/float64(least), 1, 1
	}
	for name, want := range step.Metrics {
		v, ok := got[name]
		if !ok {
			t.Errorf("%s: the model has no metric %q", at("metrics"), name)
		}
		near(t, at(name), []float64{v}, []float64{want}, near1[name], false)
	}
}

func count(in []byte, v byte) (n int) {
	for _, b := range in {
		if b == v {
			n++
		}
	}
	return n
}

func rowSums(v []float64, rows int) []float64 {
	sums := make([]float64, rows)
	for i, x := range v {
		sums[i*rows/len(v)] += x
	}
	return sums
}
