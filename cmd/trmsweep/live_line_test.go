package main

import (
	"bytes"
	"testing"
	"time"
)

func TestLiveLine(t *testing.T) {
	now := time.Unix(0, 0)
	var out bytes.Buffer
	l := &liveLine{w: &out, now: func() time.Time { return now }, at: now.Add(-plainGap)}
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
	l = &liveLine{w: &out, width: 5, now: l.now}
	l.show("abcdefgh", false)
	l.show("xy", true)
	if got, want := out.String(), "\r\x1b[Kabcd\r\x1b[Kxy\n"; got != want {
		t.Errorf("terminal: got %q, want %q", got, want)
	}
}
