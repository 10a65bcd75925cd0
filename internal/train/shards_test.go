package train

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"trmsweep/internal/blob"
	"trmsweep/internal/blob/mem"
	"trmsweep/internal/checkpoint"
	"trmsweep/internal/protocol"
)

// lossesOf are those of a metrics log.
func lossesOf(t *testing.T, log string) (losses []float64) {
	t.Helper()
	for line := range strings.Lines(log) {
		var rec struct{ Loss *float64 }
		if err := json.Unmarshal([]byte(line), &rec); err != nil {
			t.Fatal(err)
		}
		if rec.Loss != nil {
			losses = append(losses, *rec.Loss)
		}
	}
	return losses
}

// TestShardsOfARun: the number of shards changes rounding and nothing else. A run in shards ends with the same bits after stops, with
// another number of threads, and after deaths at any operation of the storage; verify and Evaluate read it.
func TestShardsOfARun(t *testing.T) {
	spec := func(shards int) []string {
		return []string{"global_batch_size=4", "epochs=12", "eval_interval_epochs=4", fmt.Sprint("gradient_shards=", shards)}
	}
	type whole struct {
		res protocol.AttemptResult
		log string
	}
	var one whole
	for _, shards := range []int{1, 2, 4} {
		t.Run(fmt.Sprint(shards, " shards"), func(t *testing.T) {
			s := tiny(t, spec(shards)...)
			finish := func(t *testing.T, b blob.Bucket) whole {
				t.Helper()
				a := attempt(t, b, s)
				if a.err != nil || !a.res.Finished {
					t.Fatalf("%+v %v", a.res, a.err)
				}
				return whole{a.res, trace(t, b)}
			}
			b := mem.New(nil)
			want := finish(t, b)
			if shards == 1 {
				one = want
			}
			if want.res.BatchSHA256 != one.res.BatchSHA256 {
				t.Errorf("other batches than with one shard")
			}
			if shards > 1 && want.res.SpecHash == one.res.SpecHash {
				t.Errorf("the run of %d shards is that of one", shards)
			}
			for i, loss := range lossesOf(t, want.log) {
				if l := lossesOf(t, one.log)[i]; math.Abs(loss-l) > 1e-4*l {
					t.Errorf("loss %v of step %d, with one shard %v", loss, i+1, l)
				}
			}
			same := func(t *testing.T, got whole) {
				t.Helper()
				if got.res.StateSHA256 != want.res.StateSHA256 || got.res.BatchSHA256 != want.res.BatchSHA256 || got.log != want.log {
					t.Errorf("ended with state %.12s and batches %.12s, in one go %.12s and %.12s; logs equal: %v",
						got.res.StateSHA256, got.res.BatchSHA256, want.res.StateSHA256, want.res.BatchSHA256, got.log == want.log)
				}
			}
			files := 0
			m, _, err := checkpoint.Newest(t.Context(), blob.Prefix(b, "runs/r/"))
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range m.Files {
				if f.Kind == checkpoint.KindShard {
					files++
				}
			}
			wantFiles := shards
			if shards == 1 {
				wantFiles = 0
			}
			if files != wantFiles {
				t.Errorf("%d files of shards, want %d", files, wantFiles)
			}
			v, err := Verify(t.Context(), VerifyOptions{Bucket: b, Run: "r", DataDir: dataDir(t), CacheDir: t.TempDir()})
			if err != nil || !v.OK {
				t.Errorf("verify: %v %v", v.Faults, err)
			}
			e, err := Evaluate(t.Context(), EvalOptions{Options: Options{Bucket: b, Run: "r", DataDir: dataDir(t), Backend: "cpu"}})
			if err != nil || e.Step != want.res.Total {
				t.Errorf("evaluate: %+v, %v", e, err)
			}

			t.Run("stops", func(t *testing.T) {
				b := mem.New(nil)
				for i, to := range []int64{1, 5, 8} {
					if a := attempt(t, b, s, func(o *Options) { o.MaxSteps, o.Threads = to, 1+i%2 }); a.err != nil {
						t.Fatal(a.err)
					}
				}
				same(t, finish(t, b))
			})
			t.Run("deaths", func(t *testing.T) {
				rnd := rand.New(rand.NewPCG(uint64(shards), 3))
				b := mem.New(nil)
				for range 6 {
					d := &dying{Bucket: b, left: 1 + rnd.IntN(60), how: rnd.IntN(ways)}
					ctx, cancel := context.WithCancel(t.Context())
					d.cancel = cancel
					a := attemptIn(ctx, t, d, s)
					cancel()
					if a.err != nil && !errors.Is(a.err, blob.ErrTransient) && !errors.Is(a.err, context.Canceled) {
						t.Fatal(a.err)
					}
				}
				same(t, finish(t, b))
			})
		})
	}
}

// TestImportIntoShards: imported weights are trained in shards from the first checkpoint on.
func TestImportIntoShards(t *testing.T) {
	b := mem.New(nil)
	s := tiny(t, "global_batch_size=4", "gradient_shards=2")
	a := attempt(t, b, s)
	if a.err != nil {
		t.Fatal(a.err)
	}
	ck, err := LoadCheckpoint(t.Context(), b, "r", "newest")
	if err != nil {
		t.Fatal(err)
	}
	err = Import(t.Context(), ImportOptions{Bucket: b, Run: "i", Spec: s, DatasetHash: ck.Manifest.Meta.DatasetHash, State: ck.State})
	if err != nil {
		t.Fatal(err)
	}
	again, err := LoadCheckpoint(t.Context(), b, "i", "newest")
	if err != nil {
		t.Fatal(err)
	}
	if again.State.SHA256() != ck.State.SHA256() {
		t.Error("the imported state is another one")
	}
	kinds := []string{}
	for _, f := range again.Manifest.Files {
		kinds = append(kinds, f.Kind)
	}
	if want := []string{checkpoint.KindState, checkpoint.KindShard, checkpoint.KindShard}; !slices.Equal(kinds, want) {
		t.Errorf("files %v, want %v", kinds, want)
	}
}
