package main

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	enumspb "go.temporal.io/api/enums/v1"
	tlog "go.temporal.io/server/common/log"
	"go.temporal.io/server/common/log/tag"
)

func TestListen(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := portOfListener(l)

	local := options{ip: "127.0.0.1", freePorts: true}
	asked := local
	asked.ports.ui = taken
	if _, err := listen(asked, ports{}); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("--ui-port %d: the port is taken", taken)) {
		t.Errorf("an asked port that is taken: %v", err)
	}
	first, err := listen(local, ports{ui: taken})
	if err != nil {
		t.Fatal(err)
	}
	p := first.ports()
	if p.ui == taken || p.ui == p.temporal || p.gcs == p.ui || p.gcs == 0 {
		t.Errorf("ports %+v with %d taken", p, taken)
	}
	for _, l := range []net.Listener{first.temporal, first.ui, first.gcs} {
		l.Close()
	}
	again, err := listen(local, p)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(p, again.ports(), cmp.AllowUnexported(ports{})); d != "" {
		t.Errorf("not the previous ports (-want +got):\n%s", d)
	}
}

// A port that is lost between its choice and its use costs another start, not the stack.
func TestLostPorts(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	t.Setenv(portToLose, strconv.Itoa(portOfListener(l)))
	cmd, r := launch(t, t.TempDir())
	if r.PID != cmd.Process.Pid {
		t.Errorf("the stack is process %d, not the one that was started, %d", r.PID, cmd.Process.Pid)
	}
	dial(t, r)
}

func TestPortOf(t *testing.T) {
	for in, want := range map[string]int{"127.0.0.1:7233": 7233, "http://127.0.0.1:8233": 8233, "": 0, "x": 0} {
		if got := portOf(in); got != want {
			t.Errorf("portOf(%q) = %d, want %d", in, got, want)
		}
	}
}

func TestAttributeFlag(t *testing.T) {
	l := defaultAttributes()
	n := len(l)
	for _, bad := range []string{"", "X", "=Int", "X=Nope", "X=Unspecified"} {
		if l.Set(bad) == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
	if err := l.Set("Mine=Datetime"); err != nil || len(l) != n+1 || l[n].kind != enumspb.INDEXED_VALUE_TYPE_DATETIME {
		t.Errorf("Mine=Datetime: %v %v", err, l)
	}
	if err := l.Set("TrmStep=Double"); err != nil || len(l) != n+1 {
		t.Errorf("a known name is replaced: %v %v", err, l)
	}
}

func TestStateIsLocked(t *testing.T) {
	dir := t.TempDir()
	unlock, err := lockState(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lockState(dir); err == nil {
		t.Error("locked twice")
	}
	unlock()
	again, err := lockState(dir)
	if err != nil {
		t.Errorf("after the first has gone: %v", err)
	} else {
		again()
	}
}

// silent is a logger whose Fatal lets the process live.
type silent struct{ tlog.Logger }

func (silent) Fatal(string, ...tag.Tag) {}

func TestWhatEndsTheServerIsSaid(t *testing.T) {
	for _, c := range []struct {
		reason string
		starts int
	}{
		{"no such device", 0},
		{"listen tcp 127.0.0.1:7233: bind: address already in use", 1},
	} {
		var said strings.Builder
		starts := 0
		again := func() error { starts++; return errors.New("5 starts in vain") }
		logger := tlog.With(loudLogger{silent{tlog.NewNoopLogger()}, &said, "devstack.log", again}, tag.Error(errors.New("not this one")))
		logger.Fatal("failed to start gRPC listener", tag.Error(errors.New(c.reason)))
		got := said.String()
		if !strings.Contains(got, "failed to start gRPC listener") || !strings.Contains(got, c.reason) || !strings.Contains(got, "devstack.log") {
			t.Errorf("%q", got)
		}
		if starts != c.starts {
			t.Errorf("%s: started again %d times, want %d", c.reason, starts, c.starts)
		}
	}
}
