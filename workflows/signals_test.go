package workflows_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"trmsweep/internal/study"
	"trmsweep/workflows"
)

// The Web UI can only signal: a sweep obeys the same commands as signals, also while it plans, and says what it refuses.
func TestSweepObeysSignals(t *testing.T) {
	w := newWorld()
	env := w.env(t)
	for _, c := range []struct {
		after   time.Duration
		command string
	}{
		{0, `{"action":"pause","experiments":["e2_2_t2_n6"]}`}, // it still plans
		{0, `{"action":"skip","experiments":["e2_2_t3_n6"]}`},
		{time.Second, `{"action":"pause","experiments":["e2_2_t2_n7"]}`},
		{time.Second, `{"action":"pause","experimens":["e2_2_t2_n2"]}`},
		{time.Second, `{"action":"resume","experiments":["e2_2_t2_n2"]}`},
		{time.Hour, `{"action":"add_seeds","experiments":["e2_2_t2_n2"],"seeds":[7]}`},
		{2 * time.Hour, `{"action":"resume"}`},
	} {
		env.RegisterDelayedCallback(func() { env.SignalWorkflow(workflows.SignalControl, json.RawMessage(c.command)) }, c.after)
	}
	env.ExecuteWorkflow(workflows.TNSweepType)
	r := sweepResult(t, env)
	statuses := map[string]string{}
	for _, e := range r.Experiments {
		statuses[e.Item.ID] = e.Status
	}
	want := map[string]string{
		"e2_2_t2_n2":    study.StatusDone,
		"e2_2_t2_n6":    study.StatusDone,
		"e2_2_t3_n4":    study.StatusDone,
		"e2_2_t3_n6":    study.StatusSkipped,
		"e2_2_t4_n6":    study.StatusDone,
		"e2_2_t2_n2-s7": study.StatusDone,
	}
	if d := cmp.Diff(want, statuses); d != "" {
		t.Error(d)
	}
	notes := strings.Join(r.Notes, "\n")
	for _, why := range []string{
		`no experiment "e2_2_t2_n7" in this sweep; the nearest is "e2_2_t2_n2"`,
		`unknown field "experimens"`,
		"no experiment is where resume changes anything",
	} {
		if !strings.Contains(notes, why) {
			t.Errorf("%q is not in the notes:\n%s", why, notes)
		}
	}
	if len(r.Notes) != 3 {
		t.Errorf("notes of what was obeyed:\n%s", notes)
	}
}
