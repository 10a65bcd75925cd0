package tfevents

import (
	"encoding/hex"
	"testing"
)

// The header's data is 09 + double 1.5, 1a 0d "brain.Event:2": 24 bytes, decoded by hand.
func TestBytes(t *testing.T) {
	h := AppendHeader(nil, 1.5)
	if len(h) != 8+4+24+4 || hex.EncodeToString(h[:8]) != "1800000000000000" {
		t.Fatalf("%x", h)
	}
	if got := hex.EncodeToString(h[12:36]); got != "09000000000000f83f1a0d627261696e2e4576656e743a32" {
		t.Fatal(got)
	}
	// wall_time 2.0, step 300 (ac 02), summary { value { tag "loss" simple_value 0.5 } }
	s := AppendScalars(nil, 2, 300, Scalar{"loss", 0.5})
	if got := hex.EncodeToString(s[12 : len(s)-4]); got != "090000000000000040"+"10ac02"+"2a0d"+"0a0b"+"0a046c6f7373"+"150000003f" {
		t.Fatal(got)
	}
	// The masked CRC32C of the length 24, as TensorFlow writes it in front of every such header.
	if got := hex.EncodeToString(h[8:12]); got != "a37f4b22" {
		t.Fatal(got)
	}
}
