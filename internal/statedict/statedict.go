// Package statedict converts between training state and the reference's
// state-dict, kept as safetensors. It opens no files.
package statedict

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/nlpodyssey/safetensors"

	"trmsweep/internal/tensor"
)

const prefix = "model.inner." // before every name in the reference's state-dict

var types = map[tensor.DType]safetensors.DType{tensor.F32: safetensors.F32, tensor.BF16: safetensors.BF16}

// Encode writes the weights of a training state under the reference's names:
// the EMA weights where ema is true, else the live ones. H_init and L_init are
// in the forward type, as the reference keeps them.
func Encode(s tensor.State, ema bool) ([]byte, error) {
	kind := "param/"
	if ema {
		kind = "ema/"
	}
	views := map[string]safetensors.TensorView{}
	for name, a := range s {
		ref, ok := reference(name, kind)
		if !ok {
			continue
		}
		if strings.HasPrefix(name, "const/") && s["carry/z_H"].DType == tensor.BF16 {
			a = toBF16(a)
		}
		shape := make([]uint64, len(a.Shape))
		for i, d := range a.Shape {
			shape[i] = uint64(d)
		}
		v, err := safetensors.NewTensorView(types[a.DType], shape, a.Data)
		if err != nil {
			return nil, fmt.Errorf("export %s: %w", name, err)
		}
		views[prefix+ref] = v
	}
	if views[prefix+"lm_head.weight"].Data() == nil {
		return nil, fmt.Errorf("export: the state has no %slm_head.weight; was it trained without EMA?", kind)
	}
	return safetensors.Serialize(views, map[string]string{"format": "pt"})
}

func reference(name, kind string) (string, bool) {
	if name == "puzzle_emb/weights" {
		return "puzzle_emb.weights", true
	}
	if ref, ok := strings.CutPrefix(name, "const/"); ok {
		return ref, true
	}
	return strings.CutPrefix(name, kind)
}

// Decode puts the weights of a safetensors file into a copy of base, a fresh
// state of the model they are for: parameters, EMA, constants and puzzle
// embedding. Every weight must be there with the model's shape, and no other;
// bfloat16 is widened to float32. Names may carry the prefixes "_orig_mod." and
// "model.inner.".
func Decode(data []byte, base tensor.State) (tensor.State, error) {
	file, err := safetensors.Deserialize(data)
	if err != nil {
		return nil, fmt.Errorf("import: not a safetensors file: %w", err)
	}
	found := map[string]safetensors.TensorView{}
	for _, t := range file.Tensors() {
		name := strings.TrimPrefix(strings.TrimPrefix(t.Name, "_orig_mod."), prefix)
		if _, twice := found[name]; twice {
			return nil, fmt.Errorf("import: %q is there twice", name)
		}
		found[name] = t.TensorView
	}
	out := maps.Clone(base)
	for _, name := range base.Names() {
		ref, ok := reference(name, "param/")
		if !ok {
			continue
		}
		v, ok := found[ref]
		if !ok {
			return nil, fmt.Errorf("import: %q is missing", prefix+ref)
		}
		delete(found, ref)
		want := base[name]
		shape := make([]int, len(v.Shape()))
		for i, d := range v.Shape() {
			shape[i] = int(d)
		}
		wide := v.DType() == safetensors.BF16 && want.DType == tensor.F32
		if v.DType() != types[want.DType] && !wide || !slices.Equal(shape, want.Shape) {
			return nil, fmt.Errorf("import: %q is %s %v, the model has %s %v", prefix+ref, v.DType(), shape, want.DType, want.Shape)
		}
		a := tensor.Array{DType: want.DType, Shape: shape, Data: slices.Clone(v.Data())}
		if wide {
			a = fromBF16(a)
		}
		out[name] = a
		if _, ok := base["ema/"+ref]; ok {
			out["ema/"+ref] = a
		}
	}
	for name := range found {
		return nil, fmt.Errorf("import: %q is not part of this model", name)
	}
	return out, nil
}

// toBF16 rounds float32 to bfloat16, ties to even.
func toBF16(a tensor.Array) tensor.Array {
	out := tensor.Array{DType: tensor.BF16, Shape: a.Shape, Data: make([]byte, len(a.Data)/2)}
	for i := range a.Len() {
		bits := binary.LittleEndian.Uint32(a.Data[4*i:])
		if f := math.Float32frombits(bits); f == f {
			bits += 0x7fff + bits>>16&1
		} else {
			bits |= 1 << 22 // still not a number
		}
		binary.LittleEndian.PutUint16(out.Data[2*i:], uint16(bits>>16))
	}
	return out
}

// fromBF16 widens bfloat16 data to float32.
func fromBF16(a tensor.Array) tensor.Array {
	out := tensor.Array{DType: tensor.F32, Shape: a.Shape, Data: make([]byte, 2*len(a.Data))}
	for i := range len(a.Data) / 2 {
		binary.LittleEndian.PutUint32(out.Data[4*i:], uint32(binary.LittleEndian.Uint16(a.Data[2*i:]))<<16)
	}
	return out
}
