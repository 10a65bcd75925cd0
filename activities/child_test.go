package activities

import (
	"syscall"
	"testing"
	"time"

	"trmsweep/internal/protocol"
)

// A process that is stopped, and stays so, is killed; one that goes on speaking is not.
func TestSilentProcessIsKilled(t *testing.T) {
	const speak = `echo '{"type": "progress", "step": 1}'`
	for _, c := range []struct {
		name, script string
		silent       bool
	}{
		{"stopped", speak + "; kill -STOP $$; " + speak, true},
		{"speaking", "for i in $(seq 45); do " + speak + "; sleep 0.1; done; exit 3", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			child := Child{Command: []string{"sh", "-c", c.script}, Silence: 4 * time.Second}
			events := 0
			e, err := child.run(make(chan struct{}), "r", nil, nil, nil, func(protocol.Event) { events++ })
			if err != nil || events == 0 || e.silent != c.silent || (e.signal == syscall.SIGKILL) != c.silent || e.oom {
				t.Errorf("%+v after %d events, %v", e, events, err)
			}
		})
	}
}

// The spec reaches the process, and nothing of it stays where a worker that is killed would leave it.
func TestSpecComesOnStandardInput(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	child := Child{Command: []string{"sh", "-c", `echo "{\"type\": \"progress\", \"step\": $(cat)}"; ls -A "$TMPDIR" >&2`}}
	var step int64
	e, err := child.run(make(chan struct{}), "r", []byte("7"), nil, nil, func(ev protocol.Event) { step = ev.Step })
	if err != nil || e.code != 0 || step != 7 || e.tail != "" {
		t.Errorf("%+v at step %d, %v; want step 7 and no file beside", e, step, err)
	}
}
