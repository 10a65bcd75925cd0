package trm

import (
	"math"
	"testing"
)

// drawMat fills a matrix with values that float32 holds, of about that deviation.
func (f *folder) drawMat(r, c int, std float64) *mat {
	m := newMat(r, c)
	for i := range m.v {
		m.v[i] = math.Ldexp(float64(f.random(255)-127), int(math.Round(math.Log2(std/73))))
	}
	return m
}

func (f *folder) f4(name string, v []float64, shape ...int) string {
	return f.npy("units/"+name+".npy", "<f4", v, shape...)
}

// layer writes a unit with weights: rows of x are independent blocks of block rows.
func (f *folder) layer(name string, x *mat, block int, weights map[string]*mat, body func(t *tape, x *mat) *mat,
	more map[string]any) map[string]any {
	dy, y, dx := f.drawMat(x.r, x.c, 1), newMat(x.r, x.c), newMat(x.r, x.c)
	for b := 0; b < x.r; b += block {
		from, to := b*x.c, (b+block)*x.c
		t, part := &tape{}, newMat(block, x.c)
		copy(part.v, x.v[from:to])
		out := body(t, part)
		copy(out.g, dy.v[from:to])
		t.backward()
		copy(y.v[from:to], out.v)
		copy(dx.v[from:to], part.g)
	}
	shape, shapes := []int{x.r / block, block, x.c}, map[string][]int{}
	unit := map[string]any{"shapes": shapes}
	for key, m := range map[string]*mat{"x": x, "y": y, "dy": dy, "dx": dx} {
		unit[key] = f.f4(name+"/"+key, m.v, shape...)
	}
	for key, w := range weights {
		shapes[key] = []int{w.r, w.c}
		unit["w."+key], unit["dw."+key] = f.f4(name+"/"+key, w.v, w.r, w.c), f.f4(name+"/grad_"+key, w.g, w.r, w.c)
	}
	for key, v := range more {
		unit[key] = v
	}
	return unit
}

func (f *folder) units() map[string]any {
	const (
		width     = 24
		heads     = 3
		positions = 7
		classes   = 6
		ignore    = -7
	)
	o := &oracle{c: Config{HiddenSize: width, NumHeads: heads, PosEncodings: "rope", RoPETheta: 500,
		LossType: "stablemax_cross_entropy"}, w: map[string]*mat{}}
	use := func(prefix string, shapes map[string][2]int) map[string]*mat {
		weights := map[string]*mat{}
		for name, s := range shapes {
			weights[name] = f.drawMat(s[0], s[1], 1/math.Sqrt(float64(s[1])))
			o.w[prefix+name] = weights[name]
		}
		return weights
	}
	att := use("a.", map[string][2]int{"qkv_proj.weight": {3 * width, width}, "o_proj.weight": {width, width}})
	mlp := use("m.", map[string][2]int{"gate_up_proj.weight": {1024, 300}, "down_proj.weight": {300, 512}}) // 300*2*2/3 = 400
	units := map[string]any{
		"attention": f.layer("attention", f.drawMat(3*positions, width, 1), positions, att, func(t *tape,
			x *mat) *mat {
			return o.attention(t, "a", x)
		},
			map[string]any{"num_heads": heads, "head_dim": width / heads, "positions": positions, "rope_theta": o.c.RoPETheta}),
		"swiglu": f.layer("swiglu", f.drawMat(4, 300, 1), 2, mlp, func(t *tape, x *mat) *mat { return o.swiglu(t, "m", x) },
			map[string]any{"expansion": 2}),
	}
	units["rms_norm"] = f.layer("rms_norm", f.drawMat(6, 20, 2), 3, nil, func(t *tape, x *mat) *mat {
		return t.norm(x,
			1e-2)
	}, map[string]any{"eps": 1e-2})
	units["rope"], units["stablemax"], units["loss_head"] = f.ropeUnit(40, 12, 700), f.stablemaxUnit(o, classes,
		ignore), f.lossHeadUnit(o, classes, ignore)
	units["adam_atan2"], units["sign_sgd"], units["trunc_normal"] = f.adamUnit(), f.signUnit(), f.truncUnit()
	return units
}

func (f *folder) ropeUnit(positions, size int, base float64) map[string]any {
	q := f.drawMat(positions, size, 1)
	ones := newMat(positions, size)
	for i := range ones.v {
		if i%size < size/2 {
			ones.v[i] = 1
		}
	}
	turned := (*tape)(nil).rope(ones, base) // cos in the first half, sin in the second
	table := func(from int) []float64 {
		v := make([]float64, positions*size)
		for i := range v {
			v[i] = turned.v[i/size*size+from+i%(size/2)]
		}
		return v
	}
	return map[string]any{"dim": size, "base": base, "positions": positions,
		"cos": f.f4("rope/cos", table(0), positions, size), "sin": f.f4("rope/sin", table(size/2), positions, size),
		"q": f.f4("rope/q", q.v, 1, positions, 1, size), "q_rot": f.f4("rope/q_rot", (*tape)(nil).rope(q, base).v, 1, positions, 1, size)}
}

func (f *folder) stablemaxUnit(o *oracle, classes int, ignore float64) map[string]any {
	const rows = 9
	x := f.drawMat(rows, classes, 3)
	labels := make([]float64, rows)
	loss := make([]float64, rows)
	grad := make([]float64, rows*classes)
	logs := make([]float64, rows*classes)
	for i := range rows {
		row := x.v[i*classes : (i+1)*classes]
		for k := range classes {
			l, _ := o.crossEntropy(row, k)
			logs[i*classes+k] = -l
		}
		if labels[i] = float64(i % classes); i == rows-1 {
			labels[i] = ignore
			continue
		}
		var g []float64
		loss[i], g = o.crossEntropy(row, int(labels[i]))
		copy(grad[i*classes:], g)
	}
	return map[string]any{"logits": f.f4("stablemax/logits", x.v, rows, classes),
		"labels":   f.npy("units/stablemax/labels.npy", "<i4", labels, rows),
		"loss_f64": f.npy("units/stablemax/loss.npy", "<f8", loss, rows), "logprobs_f64": f.npy("units/stablemax/logs.npy",
			"<f8", logs, rows, classes),
		"grad_of_sum": f.f4("stablemax/grad", grad, rows, classes), "epsilon": 1e-30, "ignore_label_id": ignore}
}

func (f *folder) lossHeadUnit(o *oracle, classes int, ignore float64) map[string]any {
	const rows, cells = 4, 5
	x := f.drawMat(rows*cells, classes, 3)
	labels, grad := make([]float64, rows*cells), make([]float64, len(x.v))
	q, gradQ := []float64{0.5, -1, 2, -0.25}, make([]float64, rows)
	halted, steps := []bool{true, true, false, true}, []float64{2, 5, 1, 7}
	sums := map[string]float64{"count": 0, "accuracy": 0, "exact_accuracy": 0, "q_halt_accuracy": 0, "steps": 0,
		"lm_loss": 0, "q_halt_loss": 0}
	for r := range rows {
		counted, right := 0, 0
		for c := range cells {
			i := r*cells + c
			row := x.v[i*classes : (i+1)*classes]
			best := 1
			for k := 1; k < classes; k++ {
				if row[k] > row[best] {
					best = k
				}
			}
			row[0] = -9               // label 0 is never in the data
			labels[i] = float64(best) // row 0 is exact
			someIgnored := r == 1 && c < 2
			if someIgnored || r == 3 {
				labels[i] = ignore
				continue
			}
			if r > 0 && c == 4 {
				labels[i] = float64(1 + best%(classes-1))
			}
			counted++
			if int(labels[i]) == best {
				right++
			}
		}
		for c := range cells {
			if i := r*cells + c; labels[i] != ignore {
				loss, g := o.crossEntropy(x.v[i*classes:(i+1)*classes], int(labels[i]))
				sums["lm_loss"] += loss / float64(counted)
				for k := range g {
					grad[i*classes+k] = g[k] / float64(counted)
				}
			}
		}
		exact := 0.0
		if right == counted {
			exact = 1
		}
		sums["q_halt_loss"] += -exact*math.Log(sigmoid(q[r])) - (1-exact)*math.Log(sigmoid(-q[r]))
		gradQ[r] = (sigmoid(q[r]) - exact) / 2
		if halted[r] && counted > 0 {
			sums["count"]++
			sums["accuracy"] += float64(right) / float64(counted)
			sums["exact_accuracy"] += exact
			sums["steps"] += steps[r]
			if (q[r] >= 0) == (exact == 1) {
				sums["q_halt_accuracy"]++
			}
		}
	}
	return map[string]any{"loss_type": "stablemax_cross_entropy", "q_halt_weight": 0.5, "ignore_label_id": ignore,
		"logits": f.f4("loss_head/logits", x.v, rows, cells, classes), "labels": f.npy("units/loss_head/labels.npy", "<i4", labels, rows, cells),
		"q_halt_logits": q, "halted": halted, "steps": steps, "metrics": sums, "loss": sums["lm_loss"] + sums["q_halt_loss"]/2,
		"grad_logits": f.f4("loss_head/grad", grad, rows, cells, classes), "grad_q_halt": gradQ, "all_finish": false}
}

func (f *folder) adamUnit() map[string]any {
	const n, steps = 15, 3
	o := &oracle{c: Config{WeightDecay: 0.4, Beta1: 0.7, Beta2: 0.8}, lr: 0.02, names: []string{"p"},
		w: map[string]*mat{"p": f.drawMat(3, n/3, 1)},
		m: map[string][]float64{}, v: map[string][]float64{}, ema: map[string][]float64{}}
	o.begin()
	start, grads := append([]float64(nil), o.w["p"].v...), f.drawMat(steps, n, 2)
	var after, other []float64
	for s := range steps {
		copy(o.w["p"].g, grads.v[s*n:])
		o.update(nil)
		after = append(after, o.w["p"].v...)
		other = append(other, make([]float64, n)...)
	}
	return map[string]any{"lr": o.lr, "beta1": o.c.Beta1, "beta2": o.c.Beta2, "weight_decay": o.c.WeightDecay,
		"param0": f.f4("adam/param0", start, 3, n/3), "grads": f.f4("adam/grads", grads.v, steps, 3,
			n/3), "params_after_each_step": f.f4("adam/params", after, steps, 3, n/3),
		"exp_avg": f.f4("adam/m", o.m["p"], 3, n/3), "exp_avg_sq": f.f4("adam/v", o.v["p"], 3,
			n/3), "params_reverted_variant": f.f4("adam/other", other, steps, 3, n/3)}
}

func (f *folder) signUnit() map[string]any {
	const rows, width = 9, 5
	ids := []int{8, 2, 8, 8, 5}
	o := &oracle{c: Config{PuzzleEmbNDim: width, PuzzleEmbWeightDecay: 0.3}, plr: 0.05, puzzles: f.drawMat(rows, width, 1)}
	for _, id := range ids {
		o.slots = append(o.slots, oracleSlot{id: id})
	}
	before, grads := append([]float64(nil), o.puzzles.v...), f.drawMat(len(ids), width, 1)
	grads.v[0], grads.v[2*width], grads.v[3*width] = 1, -2, 1 // they cancel
	o.update(grads.v)
	return map[string]any{"lr": o.plr, "weight_decay": o.c.PuzzleEmbWeightDecay, "ids": ids,
		"weights0":  f.f4("sign/before", before, rows, width),
		"grad_rows": f.f4("sign/grads", grads.v, len(ids), width), "weights1": f.f4("sign/after", o.puzzles.v, rows, width)}
}

// truncUnit finds the normal values by bisection of the distribution function.
func (f *folder) truncUnit() map[string]any {
	const cut = 2.0
	phi := func(x float64) float64 { return math.Erfc(-x/math.Sqrt2) / 2 }
	inside := phi(cut) - phi(-cut)
	density := math.Exp(-cut*cut/2) / math.Sqrt(2*math.Pi)
	scale := 1 / math.Sqrt(1-2*cut*density/inside)
	var u, value []float64
	for i := range 9 {
		share := (float64(i) + 0.5) / 9
		lo, hi := -cut, cut
		for range 60 {
			if mid := (lo + hi) / 2; phi(mid)-phi(-cut) < share*inside {
				lo = mid
			} else {
				hi = mid
			}
		}
		u, value = append(u, (2*share-1)*inside), append(value, lo*scale)
	}
	return map[string]any{"uniform_low": -inside, "uniform_high": inside, "clip_at_std_1": cut * scale, "std_0_gives": 0,
		"u": f.f4("trunc/u", u, len(u)), "value_std_1": f.f4("trunc/value", value, len(value)),
		"sample_std_0.5_n_2^18": map[string]any{"mean": 0, "std": 0.5, "max": 0.5 * cut * scale, "min": -0.5 * cut * scale}}
}

// TestUnitsOfOtherSizes runs every unit's golden test on numbers of the oracle in other sizes.
func TestUnitsOfOtherSizes(t *testing.T) {
	f := newFolder(t)
	f.manifest(map[string]any{"units": f.units()})
	t.Setenv(goldenEnv, f.dir)
	for name, test := range map[string]func(*testing.T){"files": TestGoldenFiles, "stablemax": goldenStablemax, "loss head": goldenLossHead,
		"rms norm": goldenRMSNorm, "rope": goldenRoPE, "swiglu": goldenSwiGLU, "attention": goldenAttention,
		"trunc normal": TestGoldenTruncNormal, "adam-atan2": goldenAdamATan2, "sign sgd": goldenSignSGD} {
		t.Run(name, test)
	}
}
