package trm

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"trmsweep/internal/backend"
	"trmsweep/internal/tensor"
)

func goldenDir() string {
	if d := os.Getenv("TRM_GOLDEN_DIR"); d != "" {
		return d
	}
	return filepath.Join("..", "..", "testdata", "golden")
}

var (
	npyDescr = regexp.MustCompile(`'descr': '([^']+)'`)
	npyShape = regexp.MustCompile(`'shape': \(([^)]*)\)`)
)

// npy reads an array of any numeric type as float64.
func npy(t *testing.T, name string) ([]float64, []int) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(goldenDir(), name))
	if err != nil {
		t.Fatal(err)
	}
	if len(raw) < 10 || string(raw[:6]) != "\x93NUMPY" {
		t.Fatalf("%s is not a .npy file", name)
	}
	head := 10 + int(binary.LittleEndian.Uint16(raw[8:]))
	text, data := string(raw[10:head]), raw[head:]
	var shape []int
	n := 1
	for f := range strings.SplitSeq(npyShape.FindStringSubmatch(text)[1], ",") {
		if f = strings.TrimSpace(f); f != "" {
			d, err := strconv.Atoi(f)
			if err != nil {
				t.Fatal(err)
			}
			shape, n = append(shape, d), n*d
		}
	}
	descr := npyDescr.FindStringSubmatch(text)[1]
	size := int(descr[2] - '0')
	if len(data) != n*size {
		t.Fatalf("%s: %d bytes for shape %v of %s", name, len(data), shape, descr)
	}
	out := make([]float64, n)
	for i := range out {
		p := data[i*size:]
		switch descr[1:] {
		case "f4":
			out[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(p)))
		case "f8":
			out[i] = math.Float64frombits(binary.LittleEndian.Uint64(p))
		case "i4":
			out[i] = float64(int32(binary.LittleEndian.Uint32(p)))
		case "i8":
			out[i] = float64(int64(binary.LittleEndian.Uint64(p)))
		case "u1", "b1":
			out[i] = float64(p[0])
		case "i1":
			out[i] = float64(int8(p[0]))
		default:
			t.Fatalf("%s: type %s", name, descr)
		}
	}
	return out, shape
}

type sampled struct {
	File      string `json:"file"`
	FullShape []int  `json:"full_shape"`
	Stride    int    `json:"stride"`
}

type goldenStep struct {
	Logits    string             `json:"logits"`
	QHalt     []float64          `json:"q_halt_logits"`
	QContinue []float64          `json:"q_continue_logits"`
	Loss      float64            `json:"loss"`
	Metrics   map[string]float64 `json:"metrics"`
	Steps     []float64          `json:"carry_steps"`
	Halted    []bool             `json:"halted"`
	IDs       []float64          `json:"current_puzzle_identifiers"`
	InputSum  []float64          `json:"current_inputs_sum"`
	LabelSum  []float64          `json:"current_labels_sum"`
	ZH        sampled            `json:"z_H"`
	ZL        sampled            `json:"z_L"`
	Grads     map[string]sampled `json:"grads"`
	Params    map[string]sampled `json:"params"`
	EMA       map[string]sampled `json:"ema"`
}

type goldenCase struct {
	Config map[string]any `json:"config"`
	Global int            `json:"global_batch_size"`
	Train  struct {
		LR       float64 `json:"lr"`
		WD       float64 `json:"weight_decay"`
		Beta1    float64 `json:"beta1"`
		Beta2    float64 `json:"beta2"`
		PuzzleLR float64 `json:"puzzle_emb_lr"`
		PuzzleWD float64 `json:"puzzle_emb_weight_decay"`
		EMA      float64 `json:"ema_mu"`
	} `json:"train"`
	Loss struct {
		Type string `json:"type"`
	} `json:"loss"`
	Files map[string]string `json:"files"`
	Init  map[string]struct {
		File  string `json:"file"`
		Scale int    `json:"scale_log2"`
		Shape []int  `json:"shape"`
	} `json:"init"`
	Steps   []goldenStep `json:"steps"`
	Fragile map[string]struct {
		Index []int     `json:"index"`
		Value []float64 `json:"value"`
	} `json:"fragile_after_step1"`
	Tolerance []map[string]float64 `json:"suggested_tolerance"`
}

func (g goldenCase) config() Config {
	num := func(k string) int { v, _ := g.Config[k].(float64); return int(v) }
	real := func(k string) float64 { v, _ := g.Config[k].(float64); return v }
	str := func(k string) string { v, _ := g.Config[k].(string); return v }
	yes := func(k string) bool { v, _ := g.Config[k].(bool); return v }
	return Config{BatchSize: num("batch_size"), GlobalBatchSize: g.Global, SeqLen: num("seq_len"), VocabSize: num("vocab_size"),
		NumPuzzleIdentifiers: num("num_puzzle_identifiers"), PuzzleEmbNDim: num("puzzle_emb_ndim"), PuzzleEmbLen: num("puzzle_emb_len"),
		HCycles: num("H_cycles"), LCycles: num("L_cycles"), LLayers: num("L_layers"), HiddenSize: num("hidden_size"), NumHeads: num("num_heads"),
		Expansion: real("expansion"), MLPT: yes("mlp_t"), PosEncodings: str("pos_encodings"), RMSNormEps: real("rms_norm_eps"),
		RoPETheta: real("rope_theta"), HaltMaxSteps: num("halt_max_steps"), NoACTContinue: yes("no_ACT_continue"),
		ForwardDType: str("forward_dtype"), LossType: g.Loss.Type, WeightDecay: g.Train.WD, Beta1: g.Train.Beta1, Beta2: g.Train.Beta2,
		PuzzleEmbWeightDecay: g.Train.PuzzleWD, EMA: true, EMARate: g.Train.EMA}
}

func floats(t *testing.T, a tensor.Array) []float64 {
	t.Helper()
	out := make([]float64, a.Len())
	for i := range out {
		switch a.DType {
		case tensor.F32:
			out[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(a.Data[4*i:])))
		case tensor.BF16:
			out[i] = float64(math.Float32frombits(uint32(binary.LittleEndian.Uint16(a.Data[2*i:])) << 16))
		case tensor.I32:
			out[i] = float64(int32(binary.LittleEndian.Uint32(a.Data[4*i:])))
		case tensor.U8, tensor.Bool:
			out[i] = float64(a.Data[i])
		default:
			t.Fatalf("type %s", a.DType)
		}
	}
	return out
}

func fromFloats(v []float64, shape []int) tensor.Array {
	a := zeros(tensor.F32, shape...)
	for i, x := range v {
		binary.LittleEndian.PutUint32(a.Data[4*i:], math.Float32bits(float32(x)))
	}
	return a
}

// near reports the largest |got-want|; relative to the largest |want| where rel is true.
func near(t *testing.T, what string, got, want []float64, tol float64, rel bool) {
	t.Helper()
	if len(got) != len(want) || len(want) == 0 {
		t.Errorf("%s: %d values, want %d", what, len(got), len(want))
		return
	}
	scale, worst := 0.0, 0.0
	for i := range want {
		scale = max(scale, math.Abs(want[i]))
		d := math.Abs(got[i] - want[i])
		if math.IsNaN(d) {
			t.Errorf("%s: NaN at %d", what, i)
			return
		}
		worst = max(worst, d)
	}
	if rel && scale > 0 {
		worst /= scale
	}
	if worst > tol {
		t.Errorf("%s: differs by %.3g, tolerance %.3g", what, worst, tol)
	}
}

func nearSampled(t *testing.T, what string, got tensor.Array, s sampled, tol float64, rel bool) {
	t.Helper()
	want, shape := npy(t, s.File)
	full := s.FullShape
	if full == nil {
		full = shape
	}
	if !slices.Equal(got.Shape, full) {
		t.Errorf("%s: shape %v, want %v", what, got.Shape, full)
		return
	}
	all := floats(t, got)
	stride := max(1, s.Stride)
	var some []float64
	for i := 0; i < len(all); i += stride {
		some = append(some, all[i])
	}
	near(t, what, some, want, tol, rel)
}

func stateName(prefix, reference string) string {
	switch reference {
	case "puzzle_emb.weights":
		return puzzleEmb
	case "H_init", "L_init":
		return "const/" + reference
	}
	return prefix + reference
}

func bytesOf(v []float64) []uint8 {
	b := make([]uint8, len(v))
	for i, x := range v {
		b[i] = uint8(x)
	}
	return b
}

func intsOf(v []float64) []int32 {
	b := make([]int32, len(v))
	for i, x := range v {
		b[i] = int32(x)
	}
	return b
}

func manifest(t *testing.T, into any) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(goldenDir(), "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatal(err)
	}
}

func testModel(t *testing.T, c Config) *Model {
	t.Helper()
	name := os.Getenv("TRM_BACKEND")
	if name == "" {
		name = "auto"
	}
	be, _, err := backend.New(name, 0)
	if err != nil {
		t.Fatal(err)
	}
	m, err := New(be, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close(); be.Finalize() })
	return m
}

func TestGoldenTraining(t *testing.T) {
	var m struct{ Cases map[string]goldenCase }
	manifest(t, &m)
	if len(m.Cases) == 0 {
		t.Fatal("the manifest has no training cases")
	}
	for name, c := range m.Cases {
		t.Run(name, func(t *testing.T) { goldenTraining(t, c) })
	}
}

func goldenTraining(t *testing.T, g goldenCase) {
	c := g.config()
	model := testModel(t, c)
	state := model.InitState(0)
	loaded := 0
	for name, in := range g.Init {
		v, shape := npy(t, in.File)
		for i := range v {
			v[i] = math.Ldexp(v[i], in.Scale)
		}
		key := stateName("param/", name)
		if have, ok := state[key]; !ok || !slices.Equal(have.Shape, shape) {
			t.Fatalf("%s %v is not the model's: %v", name, shape, have.Shape)
		}
		state[key] = fromFloats(v, shape)
		if _, ok := state["ema/"+name]; ok {
			state["ema/"+name] = state[key]
		}
		loaded++
	}
	want := len(c.Params()) + 2
	if c.PuzzleEmbNDim > 0 {
		want++
	}
	if loaded != want {
		t.Fatalf("%d start values, the model has %d tensors", loaded, want)
	}
	if err := model.Load(state); err != nil {
		t.Fatal(err)
	}
	inputs, _ := npy(t, g.Files["inputs"])
	labels, _ := npy(t, g.Files["labels"])
	ids, _ := npy(t, g.Files["puzzle_identifiers"])
	cells := c.BatchSize * c.SeqLen
	if len(inputs) != cells*len(g.Steps) || len(labels) != len(inputs) || len(ids) != c.BatchSize*len(g.Steps) {
		t.Fatalf("batches of %d inputs, %d labels, %d ids for %d steps of %d rows", len(inputs), len(labels), len(ids), len(g.Steps), c.BatchSize)
	}
	for k, step := range g.Steps {
		tol := g.Tolerance[k]
		in := StepInput{Inputs: bytesOf(inputs[k*cells : (k+1)*cells]), Labels: bytesOf(labels[k*cells : (k+1)*cells]),
			PuzzleIDs: intsOf(ids[k*c.BatchSize : (k+1)*c.BatchSize])}
		mt, err := model.Gradients(in)
		if err != nil {
			t.Fatal(err)
		}
		at := func(what string) string { return fmt.Sprintf("step %d %s", k+1, what) }
		checkOutputs(t, at, model, step, mt, tol)
		grads, err := model.LastGradients()
		if err != nil {
			t.Fatal(err)
		}
		for name, s := range step.Grads {
			if s.File != "" {
				nearSampled(t, at("gradient of "+name), grads[name], s, tol["grad_abs_over_tensor_absmax"], true)
			}
		}
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
		for name, s := range step.Params {
			nearSampled(t, at(name), after[stateName("param/", name)], s, tol["param_abs"], false)
		}
		for name, s := range step.EMA {
			nearSampled(t, at("EMA of "+name), after["ema/"+name], s, tol["param_abs"], false)
		}
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

func checkOutputs(t *testing.T, at func(string) string, model *Model, step goldenStep, mt Metrics, tol map[string]float64) {
	t.Helper()
	out, err := model.LastOutputs()
	if err != nil {
		t.Fatal(err)
	}
	state, err := model.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	nearSampled(t, at("logits"), out["logits"], sampled{File: step.Logits}, tol["logits_abs"], false)
	near(t, at("q_halt"), floats(t, out["q_halt"]), step.QHalt, tol["q_halt_abs"], false)
	near(t, at("q_continue"), floats(t, out["q_continue"]), step.QContinue, tol["q_halt_abs"], false)
	near(t, at("loss"), []float64{mt.Loss}, []float64{step.Loss}, max(tol["loss_rel"], 1e-5), true)
	got := map[string]float64{"count": mt.Count, "accuracy": mt.Accuracy, "exact_accuracy": mt.ExactAccuracy, "q_halt_accuracy": mt.QHaltAccuracy,
		"steps": mt.Steps, "lm_loss": mt.LMLoss, "q_halt_loss": mt.QHaltLoss, "q_continue_loss": mt.QContinueLoss}
	for name, want := range step.Metrics {
		v, ok := got[name]
		if !ok {
			t.Errorf("%s: the model has no metric %q", at("metrics"), name)
		}
		near(t, at(name), []float64{v}, []float64{want}, 1e-4, true)
	}
	near(t, at("carry steps"), floats(t, state["carry/steps"]), step.Steps, 0, false)
	near(t, at("ids"), floats(t, state["carry/puzzle_ids"]), step.IDs, 0, false)
	halted := make([]float64, len(step.Halted))
	for i, h := range step.Halted {
		if h {
			halted[i] = 1
		}
	}
	near(t, at("halted"), floats(t, state["carry/halted"]), halted, 0, false)
	for name, s := range map[string]sampled{"z_H": step.ZH, "z_L": step.ZL} {
		if s.File != "" {
			nearSampled(t, at(name), state["carry/"+name], s, tol["z_abs"], false)
		}
	}
}
