package trm

import (
	"fmt"
	"math"

	"trmsweep/internal/experiment"
)

// Param is one trained tensor: the reference's name and shape, and the standard deviation that it starts with. If that is 0, all values
// start as Fill.
type Param struct {
	Name  string
	Shape []int
	Std   float64
	Fill  float64
}

// Params are the tensors that AdamATan2 trains, in the order of the graphs.
func (c Config) Params() []Param {
	d := c.HiddenSize
	lecun := func(name string, out, in int) Param {
		return Param{name, []int{out, in}, 1 / math.Sqrt(float64(in)), 0}
	}
	ps := []Param{
		{"embed_tokens.embedding_weight", []int{c.VocabSize, d}, 1 / math.Sqrt(float64(d)), 0},
		lecun("lm_head.weight", c.VocabSize, d),
		{"q_head.weight", []int{2, d}, 0, 0},
		{"q_head.bias", []int{2}, 0, -5},
	}
	if c.PosEncodings == "learned" {
		ps = append(ps, Param{"embed_pos.embedding_weight", []int{c.Length(), d}, 1 / math.Sqrt(float64(d)), 0})
	}
	swiglu := func(prefix string, width int) {
		k := experiment.SwiGLUInter(width, c.Expansion)
		ps = append(ps, lecun(prefix+".gate_up_proj.weight", 2*k, width), lecun(prefix+".down_proj.weight", width, k))
	}
	for i := range c.LLayers {
		layer := fmt.Sprintf("L_level.layers.%d", i)
		if c.MLPT {
			swiglu(layer+".mlp_t", c.Length())
		} else {
			ps = append(ps, lecun(layer+".self_attn.qkv_proj.weight", 3*d, d), lecun(layer+".self_attn.o_proj.weight", d, d))
		}
		swiglu(layer+".mlp", d)
	}
	return ps
}
