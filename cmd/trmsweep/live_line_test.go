package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"trmsweep/internal/study"
)

func TestLiveLine(t *testing.T) {
	now := time.Unix(0, 0)
	var out bytes.Buffer
	width := 0
	l := &liveLine{w: &out, width: func() int { return width }, now: func() time.Time { return now }, at: now.Add(-plainGap)}
	l.show("a", false)
	l.show("b", false) // too soon
	now = now.Add(plainGap)
	l.show("a", false) // unchanged
	l.show("c", false)
	l.show("end", true)
	if got, want := out.String(), "a\nc\nend\n"; got != want {
		t.Errorf("plain: got %q, want %q", got, want)
	}
	out.Reset()
	width = 5
	l.show("abcdefgh", false)
	width = 8 // the window was widened
	l.show("äbcdefghij", false)
	l.show("xy", true)
	if got, want := out.String(), "\r\x1b[Kabc…\r\x1b[Käbcdef…\r\x1b[Kxy\n"; got != want {
		t.Errorf("terminal: got %q, want %q", got, want)
	}
}

// However narrow the terminal and however many experiments train, the time left can be read.
func TestProgressLineBeginsWithTheTimeLeft(t *testing.T) {
	st := study.SweepResult{Status: study.StatusRunning, ETASeconds: 3723, Failed: 1}
	for range 3 {
		st.Experiments = append(st.Experiments, study.ExperimentResult{
			Item:     study.Item{ID: "e2_2_t2_n2", Phase: "ablations"},
			Status:   study.StatusRunning,
			Progress: study.Progress{Step: 1, Total: 9, State: "training"},
		})
	}
	got := progressLine(st)
	if want := "running 0/3 done, 1 failed | ETA 1h2m3s | ablations/e2_2_t2_n2 training 1/9"; !strings.HasPrefix(got, want) {
		t.Errorf("%q, want it to begin with %q", got, want)
	}
}
