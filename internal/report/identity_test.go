package report_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"trmsweep/internal/blob"
	"trmsweep/internal/blob/mem"
	"trmsweep/internal/experiment"
	"trmsweep/internal/layout"
	"trmsweep/internal/protocol"
	"trmsweep/internal/report"
)

// A result counts only in the folder of the run that it is of.
func TestResultOfAnotherRunIsRefused(t *testing.T) {
	s := tnSweep(t)[0]
	own := protocol.Identity{Run: s.RunName(), SpecHash: s.Hash(), Seed: s.Seed}
	right := protocol.RunResult{Run: s.RunName(), Spec: s, SpecHash: s.Hash(), Seed: s.Seed}
	encoded := func(change func(*protocol.RunResult)) []byte {
		r := right
		change(&r)
		data, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	for _, c := range []struct {
		name string
		data []byte
		of   protocol.Identity
		want error
		says string
	}{
		{"its own", encoded(func(*protocol.RunResult) {}), own, nil, ""},
		{"its own, by name", encoded(func(*protocol.RunResult) {}), protocol.Identity{Run: own.Run}, nil, ""},
		{"a run with a name of its own", encoded(func(r *protocol.RunResult) { r.Run = "mine" }), protocol.Identity{Run: "mine"}, nil, ""},
		{"another run's", encoded(func(r *protocol.RunResult) { r.Run = "0123456789abcdef-s43" }), own, protocol.ErrResult,
			"it is the result of run 0123456789abcdef-s43"},
		{"another run's, by name", encoded(func(r *protocol.RunResult) { r.Run = "0123456789abcdef-s43" }), protocol.Identity{Run: own.Run},
			protocol.ErrResult, "copied there"},
		{"another spec's", encoded(func(r *protocol.RunResult) { r.SpecHash = strings.Repeat("0", 64) }), own, protocol.ErrResult,
			"spec 000000000000"},
		{"another spec's, by name", encoded(func(r *protocol.RunResult) { r.SpecHash = strings.Repeat("0", 64) }),
			protocol.Identity{Run: own.Run}, protocol.ErrResult, "spec 000000000000"},
		{"another seed's", encoded(func(r *protocol.RunResult) { r.Seed = 7 }), own, protocol.ErrResult, "seed 7"},
		{"another seed's, by name", encoded(func(r *protocol.RunResult) { r.Seed = 7 }), protocol.Identity{Run: own.Run}, protocol.ErrResult,
			"seed 7"},
		{"cut", encoded(func(*protocol.RunResult) {})[:99], own, protocol.ErrResult, "writes it anew"},
		{"no result", []byte(`{}`), own, protocol.ErrResult, "no format"},
		{"a newer version's", []byte(`{"format": 99}`), own, protocol.ErrNewer, "format 99"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := mem.New(time.Now)
			if _, err := blob.PutBytes(t.Context(), b, "runs/"+c.of.Run+"/"+layout.ResultFile, c.data, blob.Any); err != nil {
				t.Fatal(err)
			}
			_, err := protocol.ReadResult(t.Context(), b, c.of)
			silent := err != nil && !strings.Contains(err.Error(), c.says)
			if !errors.Is(err, c.want) || silent {
				t.Fatalf("%v, want %v that says %q", err, c.want, c.says)
			}
			if c.of != own {
				return
			}
			entries, err := report.ReadEntries(t.Context(), b, []experiment.Spec{s})
			if err != nil {
				t.Fatal(err)
			}
			if e := entries[0]; (e.Result != nil) != (c.want == nil) || !strings.Contains(e.Failure, c.says) {
				t.Errorf("%+v", e)
			}
		})
	}
	b := mem.New(time.Now)
	if _, err := protocol.ReadResult(t.Context(), b, own); !errors.Is(err, blob.ErrNotExist) {
		t.Error(err)
	}
	b.Tamper(put(t, b, "runs/"+own.Run+"/"+layout.ResultFile, encoded(func(*protocol.RunResult) {})),
		func(d []byte) []byte { d[5] ^= 1; return d })
	if _, err := protocol.ReadResult(t.Context(), b, own); !errors.Is(err, protocol.ErrResult) {
		t.Errorf("a flipped bit: %v", err)
	}
}

func put(t *testing.T, b blob.Bucket, key string, data []byte) string {
	t.Helper()
	if _, err := blob.PutBytes(t.Context(), b, key, data, blob.Any); err != nil {
		t.Fatal(err)
	}
	return key
}

// That a run began with imported weights stands in the comparison and in its row.
func TestReportNamesImportedWeights(t *testing.T) {
	s := tnSweep(t)[0]
	from := &protocol.Imported{File: "theirs.safetensors", SHA256: strings.Repeat("ab", 32)}
	a := protocol.RunResult{Run: s.RunName(), Spec: s, SpecHash: s.Hash(), Seed: s.Seed, Imported: from}
	other := a
	other.Imported = nil
	c, err := report.Compare(a, other, nil)
	if err != nil {
		t.Fatal(err)
	}
	type imported struct{ A, B *protocol.Imported }
	if diff := cmp.Diff(imported{A: from}, imported{c.ImportedA, c.ImportedB}); diff != "" {
		t.Errorf("imported weights (-want +got):\n%s", diff)
	}
	w, err := report.Write(t.Context(), mem.New(time.Now), "one", []report.Entry{{Spec: s, Result: &a}})
	if err != nil || !strings.Contains(w.Rows[0].Note, "imported weights: theirs.safetensors (SHA-256 abababababab)") {
		t.Errorf("%q %v", w.Rows[0].Note, err)
	}
}
