// Package statedict converts between the training state and the state dict of the reference
// implementation, in the safetensors format. It opens no files.
package statedict

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/nlpodyssey/safetensors"

	"trmsweep/internal/tensor"
)

const prefix = "model.inner." // begins every name in the reference's state dict

var types = map[tensor.DType]safetensors.DType{tensor.F32: safetensors.F32, tensor.BF16: safetensors.BF16}

// Encode writes the weights of a training state under the names of the reference
// implementation: the EMA weights if ema is true, else the current weights. As in the
// reference, H_init and L_init have the type of the forward pass.
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

// wrappers are the prefixes that PyTorch and the reference put before the name of a weight, in any order and number.
var wrappers = []string{"_orig_mod.", "module.", "model.", "inner."}

// bare returns the name of a weight without its wrappers.
func bare(name string) string {
	for {
		short := name
		for _, w := range wrappers {
			short = strings.TrimPrefix(short, w)
		}
		if short == name {
			return name
		}
		name = short
	}
}

// Decode puts the weights of a safetensors file into a copy of base, which must be a fresh
// state of the same model: parameters, EMA, constants and puzzle embedding. The file must
// have exactly the weights of the model, with the model's shapes and finite values.
// bfloat16 is converted to float32. Names may have the prefixes "_orig_mod.", "module.",
// "model." and "inner.". The error lists everything that is wrong, one fault per line.
func Decode(data []byte, base tensor.State) (tensor.State, error) {
	file, err := safetensors.Deserialize(data)
	if err != nil {
		return nil, fmt.Errorf("import: not a safetensors file: %w", err)
	}
	var faults []string
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	found, given := map[string]safetensors.TensorView{}, map[string]string{} // keys: names without wrappers
	tensors := file.Tensors()
	slices.SortFunc(tensors, func(a, b safetensors.NamedTensorView) int { return strings.Compare(a.Name, b.Name) })
	for _, t := range tensors {
		name := bare(t.Name)
		if first, twice := given[name]; twice {
			fault("%q and %q are one weight", first, t.Name)
			continue
		}
		found[name], given[name] = t.TensorView, t.Name
	}
	out := maps.Clone(base)
	var missing []string
	for _, name := range base.Names() {
		ref, ok := reference(name, "param/")
		if !ok {
			continue
		}
		v, ok := found[ref]
		if !ok {
			missing = append(missing, ref)
			continue
		}
		delete(found, ref)
		a, err := decodeArray(v, base[name])
		if err != nil {
			fault("%q %v", given[ref], err)
			continue
		}
		out[name] = a
		if _, ok := base["ema/"+ref]; ok {
			out["ema/"+ref] = a
		}
	}
	for _, ref := range missing {
		i := slices.IndexFunc(tensors, func(t safetensors.NamedTensorView) bool { return strings.HasSuffix(t.Name, "."+ref) })
		if i < 0 {
			fault("%q is missing", prefix+ref)
			continue
		}
		delete(found, bare(tensors[i].Name))
		fault("%q is missing; the file has %q, whose prefix is not known", prefix+ref, tensors[i].Name)
	}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		fault("%q is not part of this model", given[name])
	}
	if len(faults) > 0 {
		return nil, fmt.Errorf("import: %s", strings.Join(faults, "\n  "))
	}
	return out, nil
}

// decodeArray converts a tensor of the file to the type and shape of the model's array. Its
// errors continue a sentence that begins with the tensor's name.
func decodeArray(v safetensors.TensorView, want tensor.Array) (tensor.Array, error) {
	shape := make([]int, len(v.Shape()))
	for i, d := range v.Shape() {
		shape[i] = int(d)
	}
	wide := v.DType() == safetensors.BF16 && want.DType == tensor.F32
	typed := wide || v.DType() == types[want.DType]
	if !typed || !slices.Equal(shape, want.Shape) {
		return tensor.Array{}, fmt.Errorf("is %s %v, the model has %s %v", v.DType(), shape, want.DType, want.Shape)
	}
	a := tensor.Array{DType: want.DType, Shape: shape, Data: slices.Clone(v.Data())}
	if wide {
		a = fromBF16(a)
	}
	if !a.Finite() {
		return tensor.Array{}, errors.New("holds NaN or infinity")
	}
	return a, nil
}

// toBF16 rounds float32 to bfloat16, ties to even.
func toBF16(a tensor.Array) tensor.Array {
	out := tensor.Array{DType: tensor.BF16, Shape: a.Shape, Data: make([]byte, len(a.Data)/2)}
	for i := range a.Len() {
		bits := binary.LittleEndian.Uint32(a.Data[4*i:])
		if f := math.Float32frombits(bits); f == f {
			bits += 0x7fff + bits>>16&1
		} else {
			bits |= 1 << 22 // keeps it a NaN after truncation
		}
		binary.LittleEndian.PutUint16(out.Data[2*i:], uint16(bits>>16))
	}
	return out
}

// fromBF16 converts bfloat16 to float32.
func fromBF16(a tensor.Array) tensor.Array {
	out := tensor.Array{DType: tensor.F32, Shape: a.Shape, Data: make([]byte, 2*len(a.Data))}
	for i := range len(a.Data) / 2 {
		binary.LittleEndian.PutUint32(out.Data[4*i:], uint32(binary.LittleEndian.Uint16(a.Data[2*i:]))<<16)
	}
	return out
}
