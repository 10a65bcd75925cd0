package trm

import (
	"encoding/binary"
	"hash/fnv"
	"math"

	"trmsweep/internal/tensor"
)

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

// InitState is the state before the first step. The weights come from the seed, moments and puzzle embedding are zero, the EMA is equal to
// the weights, and every slot is halted.
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

// InitState is the state before the first step of the model's configuration.
func (m *Model) InitState(seed uint64) tensor.State { return m.cfg.InitState(seed) }
