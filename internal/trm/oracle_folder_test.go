package trm

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// folder writes golden numbers in the layout of testdata/golden.
type folder struct {
	t     *testing.T
	dir   string
	files map[string]any
	draw  uint64
}

func newFolder(t *testing.T) *folder { return &folder{t: t, dir: t.TempDir(), files: map[string]any{}} }

// npy writes values as <f4, <f8, |i1, |u1 or <i4 and returns the path the manifest names.
func (f *folder) npy(name, descr string, v []float64, shape ...int) string {
	f.t.Helper()
	dims := make([]string, len(shape))
	for i, d := range shape {
		dims[i] = fmt.Sprint(d)
	}
	comma := ""
	if len(shape) == 1 {
		comma = ","
	}
	head := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s%s), }", descr, strings.Join(dims, ", "), comma)
	head += strings.Repeat(" ", 63-(10+len(head))%64) + "\n"
	b := bytes.NewBuffer([]byte("\x93NUMPY\x01\x00"))
	_ = binary.Write(b, binary.LittleEndian, uint16(len(head)))
	b.WriteString(head)
	for _, x := range v {
		switch descr {
		case "<f4":
			_ = binary.Write(b, binary.LittleEndian, float32(x))
		case "<f8":
			_ = binary.Write(b, binary.LittleEndian, x)
		case "<i4":
			_ = binary.Write(b, binary.LittleEndian, int32(x))
		case "|i1":
			b.WriteByte(byte(int8(x)))
		case "|u1":
			b.WriteByte(byte(x))
		default:
			f.t.Fatalf("type %s", descr)
		}
	}
	path := filepath.Join(f.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		f.t.Fatal(err)
	}
	f.files[name] = map[string]any{"dtype": descr, "shape": shape}
	return name
}

func (f *folder) manifest(m map[string]any) {
	f.t.Helper()
	m["files"] = f.files
	raw, err := json.Marshal(m)
	if err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(f.dir, "manifest.json"), raw, 0o600); err != nil {
		f.t.Fatal(err)
	}
}

// random is uniform in 0..n-1.
func (f *folder) random(n int) int {
	f.draw++
	return int(splitmix(f.draw) >> 33 % uint64(n))
}

// start draws values that int8 * 2^scale holds exactly, with about that deviation.
func (f *folder) start(name string, std float64, into []float64, shape ...int) map[string]any {
	scale := int(math.Round(math.Log2(std / 73)))
	raw := make([]float64, len(into))
	for i := range raw {
		raw[i] = float64(f.random(255) - 127)
		into[i] = math.Ldexp(raw[i], scale)
	}
	return map[string]any{"file": f.npy(name, "|i1", raw, shape...), "scale_log2": scale, "shape": shape, "stats": statsOf(into)}
}

func statsOf(v []float64) map[string]any {
	var sum, squares, absmax float64
	for _, x := range v {
		sum, squares, absmax = sum+x, squares+x*x, max(absmax, math.Abs(x))
	}
	return map[string]any{"sum": sum, "l2": math.Sqrt(squares), "absmax": absmax, "first8": append([]float64(nil), v[:min(8, len(v))]...)}
}

// every is the stride-th values of a tensor as the manifest keeps them.
func (f *folder) every(name string, stride int, v []float64, shape ...int) map[string]any {
	var some []float64
	for i := 0; i < len(v); i += stride {
		some = append(some, v[i])
	}
	return map[string]any{"file": f.npy(name, "<f4", some, len(some)), "stride": stride, "full_shape": shape, "stats": statsOf(v)}
}

func paramShape(name string, w *mat) []int {
	if name == "q_head.bias" {
		return []int{w.c}
	}
	return []int{w.r, w.c}
}

// training writes one training case and returns its part of the manifest.
func (f *folder) training(name string, c Config, steps int) map[string]any {
	o := newOracle(c, 2e-3, 3e-3)
	d, cells := c.HiddenSize, c.SeqLen
	start := map[string]any{}
	for _, p := range o.names {
		w := o.w[p]
		std := 1 / math.Sqrt(float64(w.c))
		if strings.HasPrefix(p, "q_head") {
			std = 0.3
		}
		start[p] = f.start(name+"/init/"+p+".npy", std, w.v, paramShape(p, w)...)
	}
	o.hInit, o.lInit = make([]float64, d), make([]float64, d)
	start["H_init"] = f.start(name+"/init/H_init.npy", 1, o.hInit, d)
	start["L_init"] = f.start(name+"/init/L_init.npy", 1, o.lInit, d)
	if o.puzzles != nil {
		start["puzzle_emb.weights"] = f.start(name+"/init/puzzle_emb.weights.npy", 0.5, o.puzzles.v, o.puzzles.r, o.puzzles.c)
	}
	o.begin()

	var inputs, labels, ids []float64
	for range steps * c.BatchSize {
		ids = append(ids, float64(f.random(c.NumPuzzleIdentifiers)))
		for range cells {
			inputs = append(inputs, float64(f.random(c.VocabSize)))
			labels = append(labels, float64(f.random(c.VocabSize)))
		}
	}
	for i := range cells { // a row of padding
		inputs[i], labels[i] = 0, 0
	}
	fragile := map[string]any{}
	var all []map[string]any
	var tolerance []map[string]any
	for k := range steps {
		n := c.BatchSize * cells
		got := o.gradients(bytesOf(inputs[k*n:(k+1)*n]), bytesOf(labels[k*n:(k+1)*n]), intsOf(ids[k*c.BatchSize:(k+1)*c.BatchSize]))
		at := fmt.Sprintf("%s/step%d/", name, k+1)
		all = append(all, f.step(at, k, o, got))
		loose := math.Pow(4, float64(k))
		tolerance = append(tolerance, map[string]any{"step": k + 1, "logits_abs": 1e-4 * loose, "z_abs": 2e-4 * loose, "q_halt_abs": 2e-5 * loose,
			"loss_rel": 2e-6 * loose, "grad_abs_over_tensor_absmax": 1e-4 * loose, "param_abs": 5e-6 * loose})
		grads := map[string][]float64{}
		for _, p := range o.names {
			grads[p] = append([]float64(nil), o.w[p].g...)
		}
		o.update(got.local)
		if k == 0 {
			for _, p := range o.names {
				if entry := fragileEntries(grads[p], o.w[p].v, 2e-4); entry != nil {
					fragile[p] = entry
				}
			}
		}
		params := map[string]any{}
		for _, p := range o.names {
			params[p] = f.every(at+"param/"+p+".npy", 7, o.w[p].v, paramShape(p, o.w[p])...)
		}
		if o.puzzles != nil {
			params["puzzle_emb.weights"] = f.every(at+"param/puzzle_emb.weights.npy", 1, o.puzzles.v, o.puzzles.r, o.puzzles.c)
		}
		all[k]["params"] = params
	}
	ema := map[string]any{}
	for _, p := range o.names {
		ema[p] = f.every(fmt.Sprintf("%s/step%d/ema/%s.npy", name, steps, p), 3, o.ema[p], paramShape(p, o.w[p])...)
	}
	all[steps-1]["ema"] = ema
	return map[string]any{
		"config": map[string]any{"batch_size": c.BatchSize, "seq_len": c.SeqLen, "puzzle_emb_ndim": c.PuzzleEmbNDim,
			"num_puzzle_identifiers": c.NumPuzzleIdentifiers, "vocab_size": c.VocabSize, "H_cycles": c.HCycles, "L_cycles": c.LCycles, "H_layers": 0,
			"L_layers": c.LLayers, "hidden_size": d, "expansion": c.Expansion, "num_heads": c.NumHeads, "pos_encodings": c.PosEncodings,
			"rms_norm_eps": c.RMSNormEps, "rope_theta": c.RoPETheta, "halt_max_steps": c.HaltMaxSteps, "halt_exploration_prob": 0.0,
			"forward_dtype": "float32", "mlp_t": c.MLPT, "puzzle_emb_len": c.PuzzleEmbLen, "no_ACT_continue": c.NoACTContinue},
		"global_batch_size": c.GlobalBatchSize,
		"train": map[string]any{"lr": o.lr, "weight_decay": c.WeightDecay, "beta1": c.Beta1, "beta2": c.Beta2, "puzzle_emb_lr": o.plr,
			"puzzle_emb_weight_decay": c.PuzzleEmbWeightDecay, "ema_mu": c.EMARate, "optimizer_order": []string{"sign_sgd", "adam_atan2", "ema"}},
		"loss": map[string]any{"type": c.LossType, "stablemax_epsilon": 1e-30, "q_halt_weight": 0.5, "ignore_label_id": -100},
		"files": map[string]string{"inputs": f.npy(name+"/batch_inputs.npy", "|u1", inputs, steps, c.BatchSize, cells),
			"labels":             f.npy(name+"/batch_labels.npy", "|u1", labels, steps, c.BatchSize, cells),
			"puzzle_identifiers": f.npy(name+"/batch_puzzle_identifiers.npy", "<i4", ids, steps, c.BatchSize)},
		"init": start, "steps": all, "fragile_after_step1": fragile, "suggested_tolerance": tolerance,
	}
}

// fragileEntries are those whose gradient is below share of the largest: rounding decides their sign.
func fragileEntries(grad, after []float64, share float64) map[string]any {
	absmax := 0.0
	for _, g := range grad {
		absmax = max(absmax, math.Abs(g))
	}
	var index []int
	var value []float64
	for i, g := range grad {
		if g != 0 && math.Abs(g) < share*absmax {
			index, value = append(index, i), append(value, after[i])
		}
	}
	if index == nil {
		return nil
	}
	return map[string]any{"index": index, "value": value}
}

// step is one step's part of the manifest: gradients with values in step 1, with statistics later.
func (f *folder) step(at string, k int, o *oracle, got oracleStep) map[string]any {
	c := o.c
	var logits, zH, zL []float64
	out := map[string]any{"step": k + 1, "q_halt_logits": got.qHalt, "q_continue_logits": got.qContinue, "lm_loss": got.lm,
		"q_halt_loss": got.qLoss,
		"loss":        got.lm + (got.qLoss+got.qCont)/2, "metrics": got.metrics, "preds_min_logit_gap": got.gap}
	var steps, ids, inputSum, labelSum, predSum []int
	var halted []bool
	for i, s := range o.slots {
		logits, zH, zL = append(logits, got.logits[i]...), append(zH, s.zH.v...), append(zL, s.zL.v...)
		steps, ids, halted = append(steps, s.steps), append(ids, s.id), append(halted, s.halted)
		in, label, pred := 0, 0, 0
		for j := range c.SeqLen {
			in += int(s.inputs[j])
			pred += got.preds[i*c.SeqLen+j]
			if label += int(s.labels[j]); s.labels[j] == 0 {
				label -= 100
			}
		}
		inputSum, labelSum, predSum = append(inputSum, in), append(labelSum, label), append(predSum, pred)
	}
	out["carry_steps"], out["halted"], out["current_puzzle_identifiers"] = steps, halted, ids
	out["current_inputs_sum"], out["current_labels_sum"], out["preds_sum"] = inputSum, labelSum, predSum
	out["logits"] = f.npy(at+"logits.npy", "<f4", logits, c.BatchSize, c.SeqLen, c.VocabSize)
	z := []int{c.BatchSize, o.prefix + c.SeqLen, c.HiddenSize}
	if k == 0 {
		out["z_H"], out["z_L"] = f.every(at+"z_H.npy", 5, zH, z...), f.every(at+"z_L.npy", 5, zL, z...)
	} else {
		out["z_H"], out["z_L"] = map[string]any{"stats": statsOf(zH)}, map[string]any{"stats": statsOf(zL)}
	}
	grads, gradStats := map[string]any{}, map[string]any{}
	add := func(name string, g []float64, shape ...int) {
		if k == 0 {
			grads[name] = f.every(at+"grad/"+name+".npy", 3, g, shape...)
		} else {
			gradStats[name] = statsOf(g)
		}
	}
	for _, p := range o.names {
		add(p, o.w[p].g, paramShape(p, o.w[p])...)
	}
	if o.puzzles != nil {
		add("puzzle_emb.local_weights", got.local, c.BatchSize, c.PuzzleEmbNDim)
	}
	out["grads"], out["grads_stats"] = grads, gradStats
	return out
}
