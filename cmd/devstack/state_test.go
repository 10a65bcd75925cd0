package main

import (
	"errors"
	"net"
	"strings"
	"testing"

	enumspb "go.temporal.io/api/enums/v1"
	tlog "go.temporal.io/server/common/log"
	"go.temporal.io/server/common/log/tag"
)

func TestChoosePorts(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := l.Addr().(*net.TCPAddr).Port
	open, err := freePort("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}

	if _, err := choosePorts("127.0.0.1", ports{ui: taken}, ports{}); err == nil {
		t.Error("an asked port that is taken was accepted")
	}
	p, err := choosePorts("127.0.0.1", ports{}, ports{temporal: open, ui: taken})
	if err != nil {
		t.Fatal(err)
	}
	if p.temporal != open {
		t.Errorf("temporal port %d, want the previous one, %d", p.temporal, open)
	}
	if p.ui == taken || p.ui == p.temporal || p.gcs == p.ui || p.gcs == 0 {
		t.Errorf("ports %+v with %d taken", p, taken)
	}
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
	var said strings.Builder
	logger := tlog.With(loudLogger{silent{tlog.NewNoopLogger()}, &said, "devstack.log"}, tag.Error(errors.New("not this one")))
	logger.Fatal("failed to start gRPC listener", tag.Error(errors.New("listen tcp 127.0.0.1:7233: bind: address already in use")))
	if got := said.String(); !strings.Contains(got, "failed to start gRPC listener") || !strings.Contains(got, "address already in use") || !strings.Contains(got, "devstack.log") {
		t.Errorf("%q", got)
	}
}
