package checkpoint

import (
	"bytes"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"

	"github.com/fsouza/fake-gcs-server/fakestorage"

	"trmsweep/internal/blob"
	"trmsweep/internal/blob/disk"
	"trmsweep/internal/blob/gcs"
	"trmsweep/internal/tensor"
)

// paperState has the paper model's real sizes: 5.03 M parameters with both
// moments and EMA in f32, and the carry of a batch of 256 x 97 x 512 twice in bf16.
func paperState() tensor.State {
	s := tensor.State{}
	for _, n := range []string{"param", "adam_m", "adam_v", "ema"} {
		s[n+"/all"] = tensor.Array{DType: tensor.F32, Shape: []int{5_030_000}, Data: bytes.Repeat([]byte{1, 2, 3, 4}, 5_030_000)}
	}
	for _, n := range []string{"carry/z_H", "carry/z_L"} {
		s[n] = tensor.Array{DType: tensor.BF16, Shape: []int{256, 97, 512}, Data: bytes.Repeat([]byte{5, 6}, 256*97*512)}
	}
	return s
}

// paperStep is the paper's step time in seconds: about 4 hours for 48,828 steps.
const paperStep = 0.295

// cpu is the processor time of this process, which a busy machine does not stretch as it does the clock.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// timed is b.Loop over f with processor time per round as another metric; it returns seconds per round.
func timed(b *testing.B, bytes int64, f func()) float64 {
	b.SetBytes(bytes)
	used := cpu()
	for b.Loop() {
		f()
	}
	b.ReportMetric(float64(cpu()-used)/float64(b.N)/1e6, "cpu-ms/op")
	return b.Elapsed().Seconds() / float64(b.N)
}

// BenchmarkPaperModel is what checkpoints of the paper's model cost: the stall of
// the step loop, which is the copy of the state, and saving and restoring beside it.
func BenchmarkPaperModel(b *testing.B) {
	s, spare := paperState(), paperState()
	for _, store := range []string{"disk", "emulator"} {
		b.Run(store, func(b *testing.B) {
			w, err := Acquire(b.Context(), open(b, store), Owner{}, quiet)
			if err != nil {
				b.Fatal(err)
			}
			var stall, persist float64
			step := int64(0)
			b.Run("stall", func(b *testing.B) {
				stall = timed(b, s.Bytes(), func() {
					for name, a := range s {
						copy(spare[name].Data, a.Data)
					}
				})
			})
			b.Run("save", func(b *testing.B) {
				persist = timed(b, s.Bytes(), func() {
					step++
					if _, err := w.Save(b.Context(), Snapshot{Step: step, State: s}); err != nil {
						b.Fatal(err)
					}
				})
				c := ChooseInterval(IntervalInput{StepSeconds: paperStep, StallSeconds: stall, PersistSeconds: persist})
				b.ReportMetric(c.Seconds, "s/interval")
				b.ReportMetric(100*stall/c.Seconds, "%stalled")
			})
			b.Run("restore", func(b *testing.B) {
				timed(b, s.Bytes(), func() {
					if _, err := w.Restore(b.Context()); err != nil {
						b.Fatal(err)
					}
				})
			})
		})
	}
}

func open(b *testing.B, store string) blob.Bucket {
	if store == "disk" {
		d, err := disk.Open(b.TempDir())
		if err != nil {
			b.Fatal(err)
		}
		return d
	}
	s, err := fakestorage.NewServerWithOptions(fakestorage.Options{NoListener: true, StorageRoot: b.TempDir(), PublicHost: "127.0.0.1"})
	if err != nil {
		b.Fatal(err)
	}
	web := httptest.NewServer(s.HTTPHandler())
	b.Cleanup(web.Close)
	b.Setenv("STORAGE_EMULATOR_HOST", web.URL)
	g, err := gcs.Open(b.Context(), "bucket", 0)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { g.Close() })
	return g
}
