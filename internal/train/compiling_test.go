package train

import (
	"slices"
	"testing"

	"trmsweep/internal/blob/mem"
	"trmsweep/internal/protocol"
)

// TestCompilingEndsBeforeTheFirstStep: a whole run, and one that is resumed, compile at the beginning and never again.
func TestCompilingEndsBeforeTheFirstStep(t *testing.T) {
	store := mem.New(nil)
	for _, c := range []struct {
		name  string
		steps int64
	}{{"fresh", 10}, {"resumed", 0}} {
		a := attempt(t, store, tiny(t), func(o *Options) { o.MaxSteps = c.steps })
		if a.err != nil {
			t.Fatalf("%s: %v", c.name, a.err)
		}
		var states []string
		compiling := -1.0
		for _, e := range a.of(protocol.EventProgress) {
			if e.State != "" && !slices.Contains(states, e.State) {
				states = append(states, e.State)
			}
			if e.State == protocol.StateTraining && compiling < 0 {
				compiling = e.Goodput[protocol.BucketCompiling]
			}
			if compiling >= 0 && e.Goodput[protocol.BucketCompiling] != compiling {
				t.Fatalf("%s: %v seconds of compiling, after %v before the first step", c.name, e.Goodput[protocol.BucketCompiling], compiling)
			}
		}
		before := []string{protocol.StateStarting, protocol.StateRestoring, protocol.StateCompiling, protocol.StateTraining}
		if len(states) < 4 || !slices.Equal(states[:4], before) || compiling <= 0 {
			t.Errorf("%s: states %v with %v seconds of compiling, want %v first", c.name, states, compiling, before)
		}
	}
}
