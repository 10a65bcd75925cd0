package activities

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"trmsweep/internal/protocol"

	"go.temporal.io/sdk/temporal"
)

// What the end of a training process means for its run: the type of the failure,
// whether another attempt may help, and the checkpoint that is left.
func TestExitsOfTheTrainingProcess(t *testing.T) {
	for _, c := range []struct {
		name   string
		events []protocol.Event
		end    exit
		kind   string
		final  bool
		says   string
	}{
		{"killed", nil, exit{code: -1, signal: syscall.SIGKILL}, ErrPreempted, false, "signal killed"},
		{"killed for lack of memory", nil, exit{code: -1, signal: syscall.SIGKILL, oom: true}, ErrUnfit, false, "lack of memory"},
		{"silent", nil, exit{code: -1, signal: syscall.SIGKILL, silent: true}, ErrPreempted, false, "said nothing"},
		{"crash of the Go runtime", nil, exit{code: 2, tail: "fatal error: runtime: out of memory"}, ErrUnfit, false, "out of memory"},
		{"another crash of the Go runtime", nil, exit{code: 2, tail: "panic: index out of range"}, ErrFailed, false, "index out of range"},
		{"told to stop", nil, exit{code: 3}, ErrPreempted, false, "exit code 3"},
		{"fenced", []protocol.Event{{Type: "error", Message: "fenced: another attempt owns this run"}}, exit{code: 4}, ErrFenced, false,
			"another attempt"},
		{"storage away", []protocol.Event{{Type: "error", Message: "gave up after 10m0s"}}, exit{code: 1}, ErrFailed, false, "gave up after"},
		{"disk full", []protocol.Event{{Type: "error", Message: "disk full", Fault: protocol.FaultHost}},
			exit{code: 1}, ErrHost, false, "disk full"},
		{"backend missing", []protocol.Event{{Type: "error", Message: "no plugin", Fault: protocol.FaultUnfit}},
			exit{code: 2}, ErrUnfit, false, "no plugin"},
		{"segmentation fault", nil, exit{code: -1, signal: syscall.SIGSEGV}, ErrFailed, false, "signal segmentation fault"},
		{"wrong spec", []protocol.Event{{Type: "error", Message: "lr is negative"}}, exit{code: 2}, ErrConfig, true, "lr is negative"},
		{"busy device", []protocol.Event{{Type: "error", Message: "process 7 holds /dev/accel0"}}, exit{code: 6}, ErrBusy, false,
			"process 7 holds"},
		{"diverged", []protocol.Event{{Type: "error", Message: "loss is not finite"}}, exit{code: 5}, ErrFinal, true, "loss is not finite"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := &tracker{}
			for _, e := range append([]protocol.Event{{Type: "progress", Step: 70, Total: 100, CommittedStep: 60}}, c.events...) {
				tr.apply(e)
			}
			_, err := tr.result(c.end)
			var app *temporal.ApplicationError
			if !errors.As(err, &app) {
				t.Fatal(err)
			}
			if app.Type() != c.kind || app.NonRetryable() != c.final || !strings.Contains(app.Message(), c.says) ||
				!strings.Contains(app.Message(), "last checkpoint: step 60 of 100") {
				t.Errorf("%s, final %v: %s", app.Type(), app.NonRetryable(), app.Message())
			}
			var p Progress
			if app.Details(&p) != nil || p.CommittedStep != 60 {
				t.Errorf("progress %+v", p)
			}
		})
	}
}
