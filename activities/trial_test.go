package activities

import (
	"strings"
	"testing"
)

// A trial that fails is an answer about the model; one that is killed is not, and is tried again.
func TestTrialsThatDie(t *testing.T) {
	for _, c := range []struct {
		name, script string
		again        bool
		says         string
	}{
		{"killed", "kill -9 $$", true, "signal: killed"},
		{"terminated", "kill $$", true, "signal: terminated"},
		{"told to stop", "exit 3", true, "exit status 3"},
		{"failed", "echo 'no such device' >&2; exit 1", false, "no such device"},
		{"crash of the Go runtime", "echo 'fatal error: out of memory' >&2; exit 2", false, "out of memory"},
		{"passed", `echo '{"check": "trial of x", "ok": true, "detail": "loss fell"}'`, false, "loss fell"},
	} {
		t.Run(c.name, func(t *testing.T) {
			child := Child{Trial: []string{"sh", "-c", c.script}}
			row, err := child.Try(t.Context(), "x", []byte("{}"))
			text := row.Detail
			if err != nil {
				text = err.Error()
			}
			if (err != nil) != c.again || !strings.Contains(text, c.says) || row.OK != (c.name == "passed") {
				t.Errorf("%+v, %v", row, err)
			}
		})
	}
}
