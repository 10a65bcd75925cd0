package trm

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math"

	"trmsweep/internal/experiment"
	"trmsweep/internal/tensor"
)

// Param is one trained tensor: the reference's name and shape, and the standard
// deviation it starts with (0: all values are Fill).
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

// splitmix is the finalizer of SplitMix64: a well-mixed function of its argument.
func splitmix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// TruncNormal maps u in [0,1] to a normal value of mean 0 cut at two standard
// deviations, where std is the deviation AFTER the cut (as in JAX).
func TruncNormal(u, std float64) float64 {
	const cut = 2.0
	b := math.Erf(cut / math.Sqrt2)
	z := b // half of erf(b)-erf(a)
	pdf := math.Exp(-cut*cut/2) / math.Sqrt(2*math.Pi)
	s := std / math.Sqrt(1-2*cut*pdf/z)
	return min(max(math.Erfinv((2*u-1)*b)*math.Sqrt2*s, -cut*s), cut*s)
}

// truncNormal fills an array from a hash of (seed, name, index).
func truncNormal(seed uint64, name string, shape []int, std, fill float64) tensor.Array {
	h := fnv.New64a()
	h.Write([]byte(name))
	key := splitmix(seed ^ splitmix(h.Sum64()))
	a := zeros(tensor.F32, shape...)
	for i := range a.Len() {
		v := fill
		if std != 0 {
			u := (float64(splitmix(key+uint64(i)*0xd1342543de82ef95)>>11) + 0.5) / (1 << 53)
			v = TruncNormal(u, std)
		}
		binary.LittleEndian.PutUint32(a.Data[4*i:], math.Float32bits(float32(v)))
	}
	return a
}

func zeros(dt tensor.DType, shape ...int) tensor.Array {
	a := tensor.Array{DType: dt, Shape: shape}
	a.Data = make([]byte, a.Len()*dt.Size())
	return a
}

// Explore is the least number of supervision steps that slot must make: 0 (no
// constraint), or with probability prob uniform in 2..haltMax. A pure function
// of its arguments.
func Explore(seed uint64, step int64, slot int, prob float64, haltMax int) int32 {
	if prob <= 0 || haltMax < 2 {
		return 0
	}
	h := splitmix(splitmix(splitmix(seed^0x6578706c6f7265)+uint64(step)) + uint64(slot))
	if float64(h>>11)/(1<<53) >= prob {
		return 0
	}
	return 2 + int32(splitmix(h)%uint64(haltMax-1))
}

// InitState is the state before the first step: weights from the seed, moments
// and puzzle embedding zero, EMA equal to the weights, every slot halted.
func (c Config) InitState(seed uint64) tensor.State {
	s := tensor.State{}
	for _, p := range c.Params() {
		w := truncNormal(seed, p.Name, p.Shape, p.Std, p.Fill)
		s["param/"+p.Name] = w
		if c.EMA {
			s["ema/"+p.Name] = w
		}
	}
	for _, name := range []string{"H_init", "L_init"} {
		s["const/"+name] = truncNormal(seed, name, []int{c.HiddenSize}, 1, 0)
	}
	for _, v := range c.variables() {
		if _, ok := s[v.name]; !ok {
			s[v.name] = zeros(v.dtype, v.shape...)
		}
	}
	halted := s["carry/halted"]
	for i := range halted.Data {
		halted.Data[i] = 1
	}
	return s
}

// InitState is that of the model's configuration.
func (m *Model) InitState(seed uint64) tensor.State { return m.cfg.InitState(seed) }
