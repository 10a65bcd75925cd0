package trm

import (
	"testing"

	"github.com/nlpodyssey/safetensors"

	"trmsweep/internal/statedict"
)

// TestGoldenStateDict exports the reference's start values from the device and reads them back onto it: the names and shapes are the
// reference's, the bytes survive.
func TestGoldenStateDict(t *testing.T) { onEach(t, goldenStateDict) }

func goldenStateDict(t *testing.T) {
	t.Helper()
	var m struct{ Cases map[string]goldenCase }
	manifest(t, &m)
	for name, g := range m.Cases {
		model := testModel(t, g.config())
		if err := model.Load(g.startState(t, model)); err != nil {
			t.Fatal(err)
		}
		state := mustSnapshot(t, model)
		data, err := statedict.Encode(state, false)
		if err != nil {
			t.Fatal(err)
		}
		file, err := safetensors.Deserialize(data)
		if err != nil {
			t.Fatal(err)
		}
		if file.Len() != len(g.Init) {
			t.Errorf("%s: %d tensors, the reference has %d", name, file.Len(), len(g.Init))
		}
		for ref := range g.Init {
			if _, ok := file.Tensor("model.inner." + ref); !ok {
				t.Errorf("%s: no %s", name, ref)
			}
		}
		back, err := statedict.Decode(data, model.InitState(9))
		if err != nil {
			t.Fatal(err)
		}
		if err := model.Load(back); err != nil {
			t.Fatal(err)
		}
		back = mustSnapshot(t, model)
		for ref := range g.Init {
			key := stateName("param/", ref)
			if string(back[key].Data) != string(state[key].Data) {
				t.Errorf("%s: %s changed on the way", name, ref)
			}
		}
	}
}
