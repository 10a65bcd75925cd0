package train

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"trmsweep/internal/blob"
	"trmsweep/internal/blob/mem"
	"trmsweep/internal/checkpoint"
	"trmsweep/internal/report"
)

const resultKey = "runs/r/" + report.ResultFile

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
	if v := verify(t, b); v.OK || !strings.Contains(strings.Join(v.Faults, " "), report.ResultFile) {
		t.Fatalf("verify: %+v", v.Faults)
	}
	if a := attempt(t, b, tiny(t)); a.err != nil {
		t.Fatal(a.err)
	}
	if v := verify(t, b); !v.OK {
		t.Errorf("%v", v.Faults)
	}
}
