package checkpoint

import (
	"bytes"
	"testing"

	"trmsweep/internal/blob/disk"
	"trmsweep/internal/tensor"
)

// paperState has the paper model's real sizes: 5.03 M parameters with both
// moments and EMA in f32, and the carry of a batch of 256 x 97 x 512 twice in bf16.
func paperState() tensor.State {
	s := tensor.State{}
	for _, n := range []string{"param", "adam_m", "adam_v", "ema"} {
		s[n+"/all"] = tensor.Array{DType: tensor.F32, Shape: []int{5_030_000}, Data: bytes.Repeat([]byte{1, 2, 3, 4}, 5_030_000)}
	}
	for _, n := range []string{"carry/z_H", "carry/z_L"} {
		s[n] = tensor.Array{DType: tensor.BF16, Shape: []int{256, 97, 512}, Data: bytes.Repeat([]byte{5, 6}, 256*97*512)}
	}
	return s
}

func BenchmarkPaperModel(b *testing.B) {
	d, err := disk.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	w, err := Acquire(b.Context(), d, Owner{}, quiet)
	if err != nil {
		b.Fatal(err)
	}
	s := paperState()
	step := int64(0)
	b.Run("copy", func(b *testing.B) { // the stall of the step loop
		b.SetBytes(s.Bytes())
		for b.Loop() {
			for _, a := range s {
				bytes.Clone(a.Data)
			}
		}
	})
	b.Run("save", func(b *testing.B) {
		b.SetBytes(s.Bytes())
		for b.Loop() {
			step++
			if _, err := w.Save(b.Context(), Snapshot{Step: step, State: s}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("restore", func(b *testing.B) {
		b.SetBytes(s.Bytes())
		for b.Loop() {
			if _, err := w.Restore(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
}
