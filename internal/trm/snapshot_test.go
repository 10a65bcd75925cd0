package trm

import (
	"testing"

	"trmsweep/internal/tensor"
)

func TestSnapshotIntoReusesMemory(t *testing.T) {
	m, _ := trainTiny(t, tinyConfig(), 2)
	want := mustSnapshot(t, m).SHA256()
	old, err := m.SnapshotInto(nil)
	if err != nil || old.SHA256() != want {
		t.Fatal(err)
	}
	at := map[string]*byte{}
	for name, a := range old {
		at[name] = &a.Data[0]
		clear(a.Data)
	}
	const odd = "carry/steps"
	old[odd] = tensor.Array{DType: tensor.F64, Shape: []int{1}, Data: make([]byte, 8)}
	old["stranger"] = old[odd]
	shared, err := m.SnapshotInto(m.InitState(1)) // there, moments and EMA are the same memory
	if err != nil || shared.SHA256() != want {
		t.Fatalf("%v: arrays that share memory overwrote each other", err)
	}
	again, err := m.SnapshotInto(old)
	if err != nil || again.SHA256() != want {
		t.Fatalf("%v, %d arrays", err, len(again))
	}
	for name, a := range again {
		if (&a.Data[0] == at[name]) == (name == odd) {
			t.Errorf("%s: memory reused %v", name, &a.Data[0] == at[name])
		}
	}
}
