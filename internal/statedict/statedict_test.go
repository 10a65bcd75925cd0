package statedict

import (
	"bytes"
	"encoding/binary"
	"testing"

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
	got, err := Decode(data, s)
	if err != nil {
		t.Fatal(err)
	}
	want := put(0x3f800000, 0x3f800000, 0x3f820000, 0x3f810000, 0xbf810000, 0x7f800000, 0x7fc00000)
	if !bytes.Equal(got["const/H_init"].Data, want.Data) {
		t.Errorf("H_init % x, want % x", got["const/H_init"].Data, want.Data)
	}
	if !bytes.Equal(got["param/lm_head.weight"].Data, s["param/lm_head.weight"].Data) {
		t.Error("a parameter was rounded")
	}
}
