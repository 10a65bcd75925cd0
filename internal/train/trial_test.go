package train

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"trmsweep/internal/blob/mem"
)

func trialOf(t *testing.T, sets ...string) (TrialResult, error) {
	t.Helper()
	return Trial(t.Context(), Options{Spec: tiny(t, sets...), Bucket: mem.New(clock()), DataDir: dataDir(t), Backend: "cpu", Now: clock()}, 10)
}

func TestTrialLearnsSavesAndRestores(t *testing.T) {
	r, err := trialOf(t)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Losses) != 10 || mean(r.Losses[7:]) >= mean(r.Losses[:3]) || len(r.StateSHA256) != 64 || r.StepSeconds <= 0 {
		t.Errorf("%+v", r)
	}
}

// Small batches differ more from each other than ten steps change: none of these is refused.
func TestTrialIsNoLottery(t *testing.T) {
	for seed := range 25 {
		if r, err := trialOf(t, fmt.Sprintf("seed=%d", seed+1), "lr=1e-4"); err != nil {
			t.Errorf("seed %d: %v %.4f", seed+1, err, r.Losses)
		}
	}
}

// A model that cannot learn, because everything is forgotten at each step, is refused.
func TestTrialRefusesWhatDoesNotLearn(t *testing.T) {
	if _, err := trialOf(t, "lr=1e6"); err == nil || !strings.Contains(err.Error(), "loss") {
		t.Errorf("error %v, want one about the loss", err)
	}
}

// A step that is not finite fails a trial, and the error says which step.
func TestTrialRefusesWhatIsNotFinite(t *testing.T) {
	if _, err := trialOf(t, "lr=1e38"); !errors.Is(err, ErrDiverged) || !strings.Contains(err.Error(), "step 2 of") {
		t.Errorf("error %v, want ErrDiverged at step 2", err)
	}
}
