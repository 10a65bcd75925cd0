package activities

import (
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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
			if err != nil || events == 0 {
				t.Fatalf("%d events, %v", events, err)
			}
			type end struct{ Silent, Killed, OutOfMemory bool }
			got := end{e.silent, e.signal == syscall.SIGKILL, e.oom}
			if diff := cmp.Diff(end{Silent: c.silent, Killed: c.silent}, got); diff != "" {
				t.Errorf("end of the process (-want +got):\n%s\n%+v", diff, e)
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
	if err != nil {
		t.Fatal(err)
	}
	type end struct {
		Code int
		Step int64
		Tail string // the files beside
	}
	if diff := cmp.Diff(end{Step: 7}, end{e.code, step, e.tail}); diff != "" {
		t.Errorf("end of the process (-want +got):\n%s", diff)
	}
}
