package activities

import (
	"errors"
	"testing"

	"trmsweep/internal/blob"
	"trmsweep/internal/blob/mem"
	"trmsweep/internal/checkpoint"
	"trmsweep/internal/layout"
	"trmsweep/internal/tensor"
)

// A finished run that is forgotten begins at step 0 again: nothing of it is found by the next attempt.
func TestForgetTrainsAnew(t *testing.T) {
	b := mem.New(nil)
	run := blob.Prefix(b, "runs/r/")
	w, err := checkpoint.Acquire(t.Context(), run, checkpoint.Owner{})
	if err != nil {
		t.Fatal(err)
	}
	s := checkpoint.Snapshot{
		Step:  9,
		State: tensor.State{"a": {DType: tensor.U8, Shape: []int{1}, Data: []byte{1}}},
		Meta:  checkpoint.Meta{Final: true},
	}
	if _, err := w.Save(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if _, err := blob.PutBytes(t.Context(), run, layout.ResultFile, []byte("{}"), blob.Any); err != nil {
		t.Fatal(err)
	}
	a := &Activities{Bucket: b, Host: "h"}
	for range 2 { // also when there is nothing to forget any more
		if err := a.forget(t.Context(), "r", checkpoint.Owner{Host: a.Host}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := run.Stat(t.Context(), layout.ResultFile); !errors.Is(err, blob.ErrNotExist) {
		t.Errorf("the result is still there: %v", err)
	}
	if w, err = checkpoint.Acquire(t.Context(), run, checkpoint.Owner{}); err != nil {
		t.Fatal(err)
	}
	if ck, err := w.Restore(t.Context()); ck != nil || err != nil {
		t.Errorf("restored %+v, %v", ck, err)
	}
}
