package train

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"trmsweep/internal/blob"
	"trmsweep/internal/blob/mem"
	"trmsweep/internal/checkpoint"
	"trmsweep/internal/layout"
	"trmsweep/internal/protocol"
)

const resultKey = "runs/r/" + layout.ResultFile

// beforeResult does something just before result.json is written, and may lose the answer.
type beforeResult struct {
	blob.Bucket
	meanwhile func()
	lost      bool
}

func (b *beforeResult) Put(ctx context.Context, key string, body io.ReaderAt, size, gen int64) (blob.Attr, error) {
	if key != resultKey || b.meanwhile == nil {
		return b.Bucket.Put(ctx, key, body, size, gen)
	}
	b.meanwhile()
	b.meanwhile = nil
	a, err := b.Bucket.Put(ctx, key, body, size, gen)
	if err == nil && b.lost {
		return blob.Attr{}, blob.ErrTransient
	}
	return a, err
}

// An attempt is stopped between its last look at the fence and result.json; another
// ends the run; the first wakes up and must not replace the other's result.
func TestZombieLeavesTheResultAlone(t *testing.T) {
	b := mem.New(nil)
	var generation int64
	a := attempt(t, &beforeResult{Bucket: b, meanwhile: func() {
		if a := attempt(t, b, tiny(t)); a.err != nil {
			t.Error(a.err)
		}
		attr, err := b.Stat(t.Context(), resultKey)
		if err != nil {
			t.Error(err)
		}
		generation = attr.Generation
	}}, tiny(t))
	if !errors.Is(a.err, checkpoint.ErrFenced) {
		t.Errorf("the first attempt: %v", a.err)
	}
	if attr, err := b.Stat(t.Context(), resultKey); err != nil || attr.Generation != generation {
		t.Errorf("result.json was replaced: %+v, %v", attr, err)
	}
}

func TestLostAnswerOfTheResultIsNoFailure(t *testing.T) {
	b := &beforeResult{Bucket: mem.New(nil), meanwhile: func() {}, lost: true}
	if a := attempt(t, b, tiny(t)); a.err != nil || !a.res.Finished {
		t.Fatal(a.err)
	}
}

// A damaged result.json is written again by the next attempt, as a missing one is.
func TestDamagedResultIsWrittenAgain(t *testing.T) {
	b := mem.New(nil)
	if a := attempt(t, b, tiny(t)); a.err != nil {
		t.Fatal(a.err)
	}
	b.Tamper(resultKey, func(d []byte) []byte { d[len(d)/2] ^= 4; return d })
	if v := verify(t, b); v.OK || !strings.Contains(strings.Join(v.Faults, " "), layout.ResultFile) {
		t.Fatalf("verify: %+v", v.Faults)
	}
	if a := attempt(t, b, tiny(t)); a.err != nil {
		t.Fatal(a.err)
	}
	if v := verify(t, b); !v.OK {
		t.Errorf("%v", v.Faults)
	}
}

// A result.json that does not parse, or is another run's, is written again too, whether its checksum is right or not.
func TestStrangeResultIsWrittenAgain(t *testing.T) {
	whole := mem.New(nil)
	if a := attempt(t, whole, tiny(t)); a.err != nil {
		t.Fatal(a.err)
	}
	right := result(t, whole)
	changed := func(change func(*protocol.RunResult)) func([]byte) []byte {
		return func([]byte) []byte {
			r := right
			change(&r)
			data, err := r.Encode()
			if err != nil {
				t.Fatal(err)
			}
			return data
		}
	}
	for name, strange := range map[string]func([]byte) []byte{
		"cut":           func(d []byte) []byte { return d[:len(d)/2] },
		"empty":         func([]byte) []byte { return nil },
		"another run's": changed(func(r *protocol.RunResult) { r.Run = "s" }),
		"another spec":  changed(func(r *protocol.RunResult) { r.SpecHash = strings.Repeat("0", 64) }),
		"another seed":  changed(func(r *protocol.RunResult) { r.Seed++ }),
		"another state": changed(func(r *protocol.RunResult) { r.StateSHA256 = strings.Repeat("0", 64) }),
	} {
		t.Run(name, func(t *testing.T) {
			b := clone(t, whole)
			text, _, err := blob.ReadAll(t.Context(), b, resultKey, 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := blob.PutBytes(t.Context(), b, resultKey, strange(text), blob.Any); err != nil {
				t.Fatal(err)
			}
			if v := verify(t, b); v.OK {
				t.Error("verify is content")
			}
			same(t, b, attempt(t, b, tiny(t)))
			if v := verify(t, b); !v.OK {
				t.Errorf("%v", v.Faults)
			}
		})
	}
}

// A result.json of a newer version of the program is no damage, and stays.
func TestNewerResultStays(t *testing.T) {
	b := mem.New(nil)
	if a := attempt(t, b, tiny(t)); a.err != nil {
		t.Fatal(a.err)
	}
	newer := []byte(`{"format": 99}`)
	if _, err := blob.PutBytes(t.Context(), b, resultKey, newer, blob.Any); err != nil {
		t.Fatal(err)
	}
	if a := attempt(t, b, tiny(t)); !errors.Is(a.err, protocol.ErrNewer) {
		t.Error(a.err)
	}
	if text, _, err := blob.ReadAll(t.Context(), b, resultKey, 0); err != nil || string(text) != string(newer) {
		t.Errorf("%s, %v", text, err)
	}
}

// A lost piece of the log costs the curve and not the run; verify says what is lost.
func TestDamagedLogEnds(t *testing.T) {
	for name, damage := range map[string]func(b blob.Bucket, key string) error{
		"missing": func(b blob.Bucket, key string) error { return b.Delete(t.Context(), key, blob.Any) },
		"other": func(b blob.Bucket, key string) error {
			_, err := blob.PutBytes(t.Context(), b, key, []byte("{}\n"), blob.Any)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := mem.New(nil)
			if a := attempt(t, b, tiny(t), func(o *Options) { o.MaxSteps = 8 }); a.err != nil {
				t.Fatal(a.err)
			}
			runs := blob.Prefix(b, "runs/r/")
			r, err := checkpoint.Verify(t.Context(), runs)
			if err != nil || r.Newest == nil || len(r.Newest.Metrics) == 0 {
				t.Fatalf("%+v, %v", r, err)
			}
			if err := damage(runs, r.Newest.Metrics[0].Key); err != nil {
				t.Fatal(err)
			}
			a := attempt(t, b, tiny(t))
			if a.err != nil || a.res.StateSHA256 != want(t).res.StateSHA256 {
				t.Fatalf("%+v, %v", a.res, a.err)
			}
			text, _, err := blob.ReadAll(t.Context(), runs, layout.ResultFile, 0)
			if err != nil {
				t.Fatal(err)
			}
			if res, err := protocol.DecodeResult(text); err != nil || len(res.Curve) != 0 || res.Final.Puzzles == 0 {
				t.Errorf("%+v, %v", res, err)
			}
			if r, err := checkpoint.Verify(t.Context(), runs); err != nil || r.OK {
				t.Errorf("verify: %+v, %v", r, err)
			}
		})
	}
}

// The last line of a process that finishes a run has the figures of result.json, whether it made that or found it, and
// best is of all puzzles although evaluations of five of the six have chosen the checkpoint.
func TestLastLineHasTheFiguresOfTheResult(t *testing.T) {
	b := mem.New(nil)
	for _, name := range []string{"trained", "found"} {
		a := attempt(t, b, tiny(t))
		if a.err != nil {
			t.Fatal(name, a.err)
		}
		r := result(t, b)
		want := r.Outcome()
		if diff := cmp.Diff(&want, a.res.Outcome); diff != "" {
			t.Errorf("%s (-result.json +last line):\n%s", name, diff)
		}
		if want.Puzzles != 6 || want.BestPuzzles != 6 || r.Best.Puzzles != 6 {
			t.Errorf("%s: final of %d puzzles, best of %d and %d, want all 6", name, want.Puzzles, want.BestPuzzles, r.Best.Puzzles)
		}
	}
}

// While a run trains, events say how many puzzles the best accuracy was measured on.
func TestEventsSayHowManyPuzzlesTheBestIsOf(t *testing.T) {
	a := attempt(t, mem.New(nil), tiny(t))
	if a.err != nil {
		t.Fatal(a.err)
	}
	evaluations := a.of(protocol.EventEval)
	if len(evaluations) != 3 {
		t.Errorf("%d evaluations, want 3", len(evaluations))
	}
	for _, e := range evaluations {
		if e.BestPuzzles != 5 {
			t.Errorf("step %d: best of %d puzzles, want 5", e.Step, e.BestPuzzles)
		}
	}
}
