package statedict

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/nlpodyssey/safetensors"

	"trmsweep/internal/tensor"
)

func array(v byte) tensor.Array {
	return tensor.Array{DType: tensor.F32, Shape: []int{1, 2}, Data: []byte{v, 0, 0, 0, v, v, 0, 0}}
}

func state(v byte) tensor.State {
	return tensor.State{"param/lm_head.weight": array(v), "ema/lm_head.weight": array(v + 1), "adam_m/lm_head.weight": array(0),
		"const/H_init": array(v + 2), "puzzle_emb/weights": array(v + 3)}
}

func TestThereAndBack(t *testing.T) {
	data, err := Encode(state(5), false)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(data, state(50))
	if err != nil {
		t.Fatal(err)
	}
	want := state(5)
	want["ema/lm_head.weight"] = want["param/lm_head.weight"]
	if got.SHA256() != want.SHA256() {
		t.Errorf("got %v, want %v", got, want)
	}
	ema, err := Encode(state(5), true)
	if err != nil {
		t.Fatal(err)
	}
	if got, err = Decode(ema, state(50)); err != nil || got["param/lm_head.weight"].Data[0] != 6 {
		t.Errorf("EMA weights: %v, %v", got, err)
	}
}

func TestMisfitsAreErrors(t *testing.T) {
	data, err := Encode(state(5), false)
	if err != nil {
		t.Fatal(err)
	}
	more := state(5)
	more["param/q_head.bias"] = array(1)
	less := state(5)
	delete(less, "const/H_init")
	wide := state(5)
	wide["const/H_init"] = tensor.Array{DType: tensor.F32, Shape: []int{2, 1}, Data: make([]byte, 8)}
	for name, base := range map[string]tensor.State{"missing": more, "unknown": less, "shape": wide} {
		if _, err := Decode(data, base); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := Decode(data[:9], state(5)); err == nil {
		t.Error("a cut file is accepted")
	}
}

// file is a safetensors file of float32 tensors.
func file(t *testing.T, tensors map[string][]uint32) []byte {
	t.Helper()
	views := map[string]safetensors.TensorView{}
	for name, bits := range tensors {
		var data []byte
		for _, b := range bits {
			data = binary.LittleEndian.AppendUint32(data, b)
		}
		v, err := safetensors.NewTensorView(safetensors.F32, []uint64{1, uint64(len(bits))}, data)
		if err != nil {
			t.Fatal(err)
		}
		views[name] = v
	}
	data, err := safetensors.Serialize(views, nil)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestPrefixes(t *testing.T) {
	for _, prefix := range []string{"", "_orig_mod.", "module.", "model.inner.", "_orig_mod.model.inner.", "module.model.inner.",
		"module._orig_mod.model.inner.",
		"_orig_mod.module.model.inner.", "_orig_mod._orig_mod.model.inner.", "model._orig_mod.inner.", "inner.", "model.inner._orig_mod."} {
		weights := map[string][]uint32{}
		for _, ref := range []string{"lm_head.weight", "H_init", "puzzle_emb.weights"} {
			weights[prefix+ref] = []uint32{1, 2}
		}
		if _, err := Decode(file(t, weights), state(5)); err != nil {
			t.Errorf("%q: %v", prefix, err)
		}
	}
}

// All that is wrong is said at once, in the order of the names and with the names of the file.
func TestAllFaultsAtOnce(t *testing.T) {
	const (
		one      = 0x3f800000
		nan      = 0x7fc00001
		inf      = 0x7f800000
		minusInf = 0xff800000
	)
	for name, c := range map[string]struct {
		weights map[string][]uint32
		faults  []string
	}{
		"not finite": {map[string][]uint32{"module.lm_head.weight": {one, nan}, "H_init": {inf, one}, "puzzle_emb.weights": {minusInf, nan}},
			[]string{
				`"H_init" holds NaN or infinity`, `"module.lm_head.weight" holds NaN or infinity`, `"puzzle_emb.weights" holds NaN or infinity`}},
		"each of its kind": {map[string][]uint32{"model.inner.lm_head.weight": {one}, "_orig_mod.z": {one}, "module.a": {one, one},
			"puzzle_emb.weights": {nan, one}}, []string{
			`"model.inner.lm_head.weight" is F32 [1 1], the model has F32 [1 2]`, `"puzzle_emb.weights" holds NaN or infinity`,
			`"model.inner.H_init" is missing`,
			`"module.a" is not part of this model`, `"_orig_mod.z" is not part of this model`}},
		"an unknown prefix": {map[string][]uint32{"net.lm_head.weight": {one, one}, "net.H_init": {one, one},
			"net.puzzle_emb.weights": {one, one}}, []string{
			`"model.inner.H_init" is missing; the file has "net.H_init", whose prefix is not known`,
			`"model.inner.lm_head.weight" is missing; the file has "net.lm_head.weight", whose prefix is not known`,
			`"model.inner.puzzle_emb.weights" is missing; the file has "net.puzzle_emb.weights", whose prefix is not known`}},
		"one weight twice": {map[string][]uint32{"module.lm_head.weight": {one, one}, "lm_head.weight": {one, one}, "H_init": {one, one},
			"puzzle_emb.weights": {one, one}}, []string{
			`"lm_head.weight" and "module.lm_head.weight" are one weight`}},
	} {
		t.Run(name, func(t *testing.T) {
			for range 8 { // whatever the order of a map
				_, err := Decode(file(t, c.weights), state(5))
				if want := "import: " + strings.Join(c.faults, "\n  "); err == nil || err.Error() != want {
					t.Fatalf("got  %v\nwant %s", err, want)
				}
			}
		})
	}
}

func TestConstantsInTheForwardType(t *testing.T) {
	put := func(bits ...uint32) tensor.Array {
		a := tensor.Array{DType: tensor.F32, Shape: []int{len(bits)}}
		for _, b := range bits {
			a.Data = binary.LittleEndian.AppendUint32(a.Data, b)
		}
		return a
	}
	s := state(5)
	s["const/H_init"] = put(0x3f800000, 0x3f808000, 0x3f818000, 0x3f808001, 0xbf80ffff, 0x7f800000, 0x7f800001)
	s["carry/z_H"] = tensor.Array{DType: tensor.BF16}
	data, err := Encode(s, false)
	if err != nil {
		t.Fatal(err)
	}
	file, err := safetensors.Deserialize(data) // not Decode, which refuses what is not finite
	if err != nil {
		t.Fatal(err)
	}
	got := tensor.State{}
	for state, ref := range map[string]string{"const/H_init": "H_init", "param/lm_head.weight": "lm_head.weight"} {
		v, _ := file.Tensor(prefix + ref)
		a := tensor.Array{DType: tensor.DType(v.DType().String()), Data: v.Data()}
		if a.DType == tensor.BF16 {
			a = fromBF16(a)
		}
		got[state] = a
	}
	want := put(0x3f800000, 0x3f800000, 0x3f820000, 0x3f810000, 0xbf810000, 0x7f800000, 0x7fc00000)
	if !bytes.Equal(got["const/H_init"].Data, want.Data) {
		t.Errorf("H_init % x, want % x", got["const/H_init"].Data, want.Data)
	}
	if !bytes.Equal(got["param/lm_head.weight"].Data, s["param/lm_head.weight"].Data) {
		t.Error("a parameter was rounded")
	}
}
