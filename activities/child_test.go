package activities

import (
	"syscall"
	"testing"
	"time"
)

// A process that is stopped, and stays so, is killed; one that goes on speaking is not.
func TestSilentProcessIsKilled(t *testing.T) {
	const speak = `echo '{"type": "progress", "step": 1}'`
	for _, c := range []struct {
		name, script string
		silent       bool
	}{
		{"stopped", speak + "; kill -STOP $$; " + speak, true},
		{"speaking", "for i in $(seq 25); do " + speak + "; sleep 0.1; done; exit 3", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			child := Child{Command: []string{"sh", "-c", c.script}, Silence: 2 * time.Second}
			events := 0
			e, err := child.run(make(chan struct{}), "r", nil, func(childEvent) { events++ })
			if err != nil || events == 0 || e.silent != c.silent || (e.signal == syscall.SIGKILL) != c.silent || e.oom {
				t.Errorf("%+v after %d events, %v", e, events, err)
			}
		})
	}
}
