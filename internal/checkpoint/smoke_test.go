package checkpoint

import (
	"testing"

	"trmsweep/internal/blob/disk"
	"trmsweep/internal/tensor"
)

func TestSmoke(t *testing.T) {
	b, err := disk.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	for i := range 5 {
		w, err := Acquire(ctx, b, Owner{Host: "h"}, WithKeep(2))
		if err != nil {
			t.Fatal(err)
		}
		c, err := w.Restore(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if (c == nil) != (i == 0) {
			t.Fatal(i, c)
		}
		if _, err := w.Save(ctx, Snapshot{Step: int64(i), State: tensor.State{"a": {DType: tensor.BF16, Shape: []int{2, 2}, Data: make([]byte, 8)}, "b": {DType: tensor.F32, Data: make([]byte, 4)}}, MetricsJSONL: []byte("{}\n")}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Clean(ctx); err != nil {
			t.Fatal(err)
		}
		r, err := Verify(ctx, b)
		if err != nil || !r.OK {
			t.Fatal(r, err)
		}
		t.Log(len(r.Checkpoints), len(r.Orphans))
	}
}
