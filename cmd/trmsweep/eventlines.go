package main

import (
	"fmt"
	"sync"

	"trmsweep/internal/protocol"
	"trmsweep/internal/train"
)

// eventLines writes the training process's JSON lines. A parent that has gone
// away makes writes fail; training goes on, the store is what counts.
type eventLines struct {
	mu sync.Mutex
	a  *app
}

func newEventLines(a *app) *eventLines { return &eventLines{a: a} }

func (l *eventLines) line(b []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.a.stdout, "%s\n", b)
}

func (l *eventLines) send(e protocol.Event) { l.line(e.JSON()) }

// failure is the last line of a process that failed: exit codes alone cannot
// tell a usage error from a crash of the Go runtime, which also exits with 2.
// res says how far it has come; what it does not know is 0.
func (l *eventLines) failure(code int, err error, res protocol.AttemptResult) {
	l.send(protocol.Event{Type: protocol.EventError, Message: err.Error(), ExitCode: code, Fault: train.FaultOf(err),
		Step: res.Step, Total: res.Total, CommittedStep: res.CommittedStep})
}

// result is the last line of a process that ended well.
func (l *eventLines) result(res protocol.AttemptResult) {
	b, err := res.JSON()
	if err != nil {
		l.failure(protocol.ExitFailed, err, res)
		return
	}
	l.line(b)
}
