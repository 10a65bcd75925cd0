package trm

import (
	"fmt"
	"math"
)

// oracle is a TRM under training. Only the plain settings of Config are used.
type oracle struct {
	c       Config
	lr, plr float64
	prefix  int
	names   []string // trained tensors
	w       map[string]*mat
	m, v    map[string][]float64
	ema     map[string][]float64
	puzzles *mat // nil without puzzle embedding
	hInit   []float64
	lInit   []float64
	slots   []oracleSlot
	steps   int
}

// oracleSlot is the carry of one row of the batch.
type oracleSlot struct {
	zH, zL         *mat
	steps, id      int
	halted         bool
	inputs, labels []uint8
}

func newOracle(c Config, lr, plr float64) *oracle {
	o := &oracle{c: c, lr: lr, plr: plr, w: map[string]*mat{}, m: map[string][]float64{}, v: map[string][]float64{},
		ema: map[string][]float64{}}
	d := c.HiddenSize
	if c.PuzzleEmbNDim > 0 {
		o.prefix = c.PuzzleEmbLen
		if o.prefix == 0 {
			o.prefix = int(math.Ceil(float64(c.PuzzleEmbNDim) / float64(d)))
		}
		o.puzzles = newMat(c.NumPuzzleIdentifiers, c.PuzzleEmbNDim)
	}
	add := func(name string, r, cols int) {
		o.names = append(o.names, name)
		o.w[name] = newMat(r, cols)
	}
	swiglu := func(name string, width int) {
		inner := 256 * int(math.Ceil(math.RoundToEven(c.Expansion*float64(width)*2/3)/256))
		add(name+".gate_up_proj.weight", 2*inner, width)
		add(name+".down_proj.weight", width, inner)
	}
	add("embed_tokens.embedding_weight", c.VocabSize, d)
	add("lm_head.weight", c.VocabSize, d)
	add("q_head.weight", 2, d)
	add("q_head.bias", 1, 2)
	if c.PosEncodings == "learned" {
		add("embed_pos.embedding_weight", c.SeqLen+o.prefix, d)
	}
	for i := range c.LLayers {
		layer := fmt.Sprintf("L_level.layers.%d", i)
		if c.MLPT {
			swiglu(layer+".mlp_t", c.SeqLen+o.prefix)
		} else {
			add(layer+".self_attn.qkv_proj.weight", 3*d, d)
			add(layer+".self_attn.o_proj.weight", d, d)
		}
		swiglu(layer+".mlp", d)
	}
	o.slots = make([]oracleSlot, c.BatchSize)
	for i := range o.slots {
		o.slots[i].halted = true
	}
	return o
}

// begin copies the start values into the EMA; the weights are set.
func (o *oracle) begin() {
	for _, name := range o.names {
		n := len(o.w[name].v)
		o.ema[name] = append([]float64(nil), o.w[name].v...)
		o.m[name], o.v[name] = make([]float64, n), make([]float64, n)
	}
}

func (o *oracle) swiglu(t *tape, name string, x *mat) *mat {
	both := o.w[name+".gate_up_proj.weight"]
	gate, up := t.rows(both, 0, both.r/2), t.rows(both, both.r/2, both.r)
	return t.mulT(t.swiglu(t.mulT(x, gate), t.mulT(x, up)), o.w[name+".down_proj.weight"])
}

func (o *oracle) attention(t *tape, name string, x *mat) *mat {
	d := o.c.HiddenSize
	size := d / o.c.NumHeads
	qkv := t.mulT(x, o.w[name+".qkv_proj.weight"])
	heads := make([]*mat, o.c.NumHeads)
	for h := range heads {
		part := func(which int) *mat { return t.cols(qkv, which*d+h*size, which*d+(h+1)*size) }
		q, k, v := part(0), part(1), part(2)
		if o.c.PosEncodings == "rope" {
			q, k = t.rope(q, o.c.RoPETheta), t.rope(k, o.c.RoPETheta)
		}
		p := t.softmax(t.scale(t.mulT(q, k), 1/math.Sqrt(float64(size))))
		heads[h] = t.mulT(p, t.transpose(v))
	}
	all := heads[0]
	for _, h := range heads[1:] {
		left, right, wide := all, h, all.c+h.c
		a := t.gather(left, left.r, wide, func(i, j int) int {
			if j >= left.c {
				return -1
			}
			return i*left.c + j
		})
		b := t.gather(right, right.r, wide, func(i, j int) int {
			if j < left.c {
				return -1
			}
			return i*right.c + j - left.c
		})
		all = t.plus(a, b)
	}
	return t.mulT(all, o.w[name+".o_proj.weight"])
}

// blocks is f: the stack of layers.
func (o *oracle) blocks(t *tape, x *mat) *mat {
	for i := range o.c.LLayers {
		layer := fmt.Sprintf("L_level.layers.%d", i)
		if o.c.MLPT {
			y := t.transpose(x)
			x = t.transpose(t.norm(t.plus(y, o.swiglu(t, layer+".mlp_t", y)), o.c.RMSNormEps))
		} else {
			x = t.norm(t.plus(x, o.attention(t, layer+".self_attn", x)), o.c.RMSNormEps)
		}
		x = t.norm(t.plus(x, o.swiglu(t, layer+".mlp", x)), o.c.RMSNormEps)
	}
	return x
}

// embed is the input [prefix+cells, hidden]; local is this row's copy of its puzzle's embedding.
func (o *oracle) embed(t *tape, inputs []uint8, local *mat) *mat {
	d, tokens := o.c.HiddenSize, o.w["embed_tokens.embedding_weight"]
	length := o.prefix + len(inputs)
	x := t.gather(tokens, length, d, func(i, j int) int {
		if i < o.prefix {
			return -1
		}
		return int(inputs[i-o.prefix])*d + j
	})
	if local != nil {
		x = t.plus(x, t.gather(local, length, d, func(i, j int) int {
			if at := i*d + j; i < o.prefix && at < local.c {
				return at
			}
			return -1
		}))
	}
	if pos := o.w["embed_pos.embedding_weight"]; pos != nil {
		x = t.scale(t.plus(x, pos), 0.707106781)
	}
	return t.scale(x, math.Sqrt(float64(d)))
}

// oracleForward is what one supervision step of one row gives.
type oracleForward struct{ zH, zL, logits, q *mat }

// forward is one supervision step of one row. Only its last cycle is on the tape.
func (o *oracle) forward(t *tape, zH, zL, x *mat) oracleForward {
	for cycle := range o.c.HCycles {
		on := t
		if cycle < o.c.HCycles-1 {
			on = nil
		}
		for range o.c.LCycles {
			zL = o.blocks(on, on.plus(zL, on.plus(zH, x)))
		}
		zH = o.blocks(on, on.plus(zH, zL))
	}
	logits := t.mulT(t.rows(zH, o.prefix, zH.r), o.w["lm_head.weight"])
	q := t.plus(t.mulT(t.rows(zH, 0, 1), o.w["q_head.weight"]), o.w["q_head.bias"])
	return oracleForward{zH, zL, logits, q}
}

// oracleStep is what one training step gave, before the update of the weights.
type oracleStep struct {
	logits           [][]float64 // per row
	qHalt, qContinue []float64
	preds            []int
	gap              float64
	lm, qLoss, qCont float64
	local            []float64 // gradients of the rows' puzzle embeddings
	metrics          map[string]float64
}

func (o *oracle) gradients(inputs, labels []uint8, ids []int32) oracleStep {
	c := o.c
	out := oracleStep{gap: math.Inf(1), metrics: map[string]float64{"count": 0, "accuracy": 0, "exact_accuracy": 0,
		"q_halt_accuracy": 0, "steps": 0}}
	for _, w := range o.w {
		clear(w.g)
	}
	for i := range o.slots {
		s := &o.slots[i]
		length := o.prefix + c.SeqLen
		if s.halted {
			s.inputs, s.labels = inputs[i*c.SeqLen:(i+1)*c.SeqLen], labels[i*c.SeqLen:(i+1)*c.SeqLen]
			s.id, s.steps, s.halted = int(ids[i]), 0, false
			s.zH, s.zL = newMat(length, c.HiddenSize), newMat(length, c.HiddenSize)
			for k := range s.zH.v {
				s.zH.v[k], s.zL.v[k] = o.hInit[k%c.HiddenSize], o.lInit[k%c.HiddenSize]
			}
		}
		o.row(s, &out)
	}
	out.metrics["lm_loss"], out.metrics["q_halt_loss"] = out.lm, out.qLoss
	if !c.NoACTContinue {
		out.metrics["q_continue_loss"] = out.qCont
	}
	return out
}

// row makes one supervision step of one slot and adds its losses, metrics and gradients.
func (o *oracle) row(s *oracleSlot, out *oracleStep) {
	c, t := o.c, &tape{}
	var local *mat
	if o.puzzles != nil {
		local = newMat(1, c.PuzzleEmbNDim)
		copy(local.v, o.puzzles.v[s.id*c.PuzzleEmbNDim:])
	}
	x := o.embed(t, s.inputs, local)
	f := o.forward(t, s.zH, s.zL, x)
	zH, zL := f.zH, f.zL
	logits, q := f.logits, f.q
	qHalt, qContinue := q.v[0], q.v[1]
	out.logits = append(out.logits, logits.v)
	out.qHalt, out.qContinue = append(out.qHalt, qHalt), append(out.qContinue, qContinue)

	counted, right := 0, 0
	for i, label := range s.labels {
		row := logits.v[i*c.VocabSize : (i+1)*c.VocabSize]
		best, second := 0, math.Inf(-1)
		for k, v := range row {
			if v > row[best] {
				best, second = k, row[best]
			} else if k != best && v > second {
				second = v
			}
		}
		out.gap = min(out.gap, row[best]-second)
		out.preds = append(out.preds, best)
		if label != 0 {
			counted++
			if best == int(label) {
				right++
			}
		}
	}
	global := float64(c.GlobalBatchSize)
	for i, label := range s.labels {
		if label == 0 {
			continue
		}
		loss, grad := o.crossEntropy(logits.v[i*c.VocabSize:(i+1)*c.VocabSize], int(label))
		out.lm += loss / float64(counted)
		for k, g := range grad {
			logits.g[i*c.VocabSize+k] = g / float64(counted) / global
		}
	}
	exact := 0.0
	if right == counted {
		exact = 1
	}
	bce := func(x, target float64) float64 {
		return -target*math.Log(sigmoid(x)) - (1-target)*math.Log(sigmoid(-x))
	}
	out.qLoss += bce(qHalt, exact)
	q.g[0] = (sigmoid(qHalt) - exact) / 2 / global

	s.steps++
	last := s.steps >= c.HaltMaxSteps
	s.halted = last
	if c.HaltMaxSteps > 1 && !last {
		s.halted = qHalt > 0
		if !c.NoACTContinue {
			s.halted = qHalt > qContinue
		}
	}
	if !c.NoACTContinue && c.HaltMaxSteps > 1 {
		next := o.forward(nil, zH, zL, x).q
		target := sigmoid(next.v[0])
		if !last {
			target = sigmoid(max(next.v[0], next.v[1]))
		}
		out.qCont += bce(qContinue, target)
		q.g[1] = (sigmoid(qContinue) - target) / 2 / global
	}
	if s.halted && counted > 0 {
		out.metrics["count"]++
		out.metrics["accuracy"] += float64(right) / float64(counted)
		out.metrics["exact_accuracy"] += exact
		out.metrics["steps"] += float64(s.steps)
		if (qHalt >= 0) == (exact == 1) {
			out.metrics["q_halt_accuracy"]++
		}
	}
	t.backward()
	s.zH, s.zL = &mat{zH.r, zH.c, zH.v, make([]float64, len(zH.v))}, &mat{zL.r, zL.c, zL.v, make([]float64, len(zL.v))}
	if local != nil {
		out.local = append(out.local, local.g...)
	}
}

// crossEntropy is the loss of one cell and its gradient by the logits.
func (o *oracle) crossEntropy(x []float64, label int) (loss float64, grad []float64) {
	s, slope, total := make([]float64, len(x)), make([]float64, len(x)), 0.0
	for k, v := range x {
		switch {
		case o.c.LossType == "softmax_cross_entropy":
			s[k] = math.Exp(v)
			slope[k] = s[k]
		case v < 0:
			s[k], slope[k] = 1/(1-v), 1/((1-v)*(1-v))
		default:
			s[k], slope[k] = v+1, 1
		}
		total += s[k]
	}
	grad = make([]float64, len(x))
	for k := range x {
		grad[k] = slope[k] / total
	}
	grad[label] -= slope[label] / s[label]
	return -math.Log(s[label] / total), grad
}

// update is SignSGD, then AdamATan2, then the EMA.
func (o *oracle) update(local []float64) {
	c := o.c
	o.steps++
	if o.puzzles != nil {
		n := c.PuzzleEmbNDim
		sums := map[int][]float64{}
		for i, s := range o.slots {
			if sums[s.id] == nil {
				sums[s.id] = make([]float64, n)
			}
			for k := range n {
				sums[s.id][k] += local[i*n+k]
			}
		}
		for id, sum := range sums {
			for k, g := range sum {
				p := &o.puzzles.v[id*n+k]
				*p *= 1 - o.plr*c.PuzzleEmbWeightDecay
				if g != 0 {
					*p -= math.Copysign(o.plr, g)
				}
			}
		}
	}
	b1, b2 := 1-math.Pow(c.Beta1, float64(o.steps)), 1-math.Pow(c.Beta2, float64(o.steps))
	for _, name := range o.names {
		w := o.w[name]
		m := o.m[name]
		v := o.v[name]
		ema := o.ema[name]
		for i, g := range w.g {
			m[i] += (1 - c.Beta1) * (g - m[i])
			v[i] += (1 - c.Beta2) * (g*g - v[i])
			w.v[i] = w.v[i]*(1-o.lr*c.WeightDecay) - o.lr/b1*math.Atan2(m[i], math.Sqrt(v[i])/math.Sqrt(b2))
			ema[i] = c.EMARate*ema[i] + (1-c.EMARate)*w.v[i]
		}
	}
}
