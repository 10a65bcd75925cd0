package activities

import "testing"

func TestBestText(t *testing.T) {
	for want, p := range map[string]Progress{
		"-":      {Step: 5},
		"0.00%":  {State: "done"},
		"25.00%": {BestExactAccuracy: 0.25},
	} {
		if got := p.BestText(); got != want {
			t.Errorf("%+v: %s, want %s", p, got, want)
		}
	}
	if got := (Progress{EvalStep: 5}).BestText(); got != "0.00%" {
		t.Errorf("an evaluation that solved nothing: %s", got)
	}
}
