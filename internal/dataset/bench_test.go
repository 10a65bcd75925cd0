package dataset

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// BenchmarkBuild1000x1000 makes 1,001,000 rows of two int64 arrays, 1.3 GB, from a CSV.
func BenchmarkBuild1000x1000(b *testing.B) {
	text := csvText(1000)
	path := filepath.Join(b.TempDir(), "x.csv")
	if err := os.WriteFile(path, []byte(strings.Join(text, "\n")), 0o644); err != nil {
		b.Fatal(err)
	}
	for _, compact := range []bool{false, true} {
		b.Run(map[bool]string{false: "int64", true: "uint8"}[compact], func(b *testing.B) {
			var before, after syscall.Rusage
			syscall.Getrusage(syscall.RUSAGE_SELF, &before)
			for i := range b.N {
				out := filepath.Join(b.TempDir(), fmt.Sprint("set", i))
				if _, err := Build(context.Background(), Options{Source: path, NumAug: 1000, Compact: compact}, out, nil); err != nil {
					b.Fatal(err)
				}
				os.RemoveAll(out)
			}
			syscall.Getrusage(syscall.RUSAGE_SELF, &after)
			b.ReportMetric(float64(after.Utime.Nano()-before.Utime.Nano())/1e9/float64(b.N), "user-s/op")
			b.ReportMetric(float64(after.Stime.Nano()-before.Stime.Nano())/1e9/float64(b.N), "system-s/op")
			b.ReportMetric(float64(after.Maxrss)/1024, "MB-rss")
		})
	}
}

func BenchmarkBatch1024(b *testing.B) {
	for _, c := range []struct {
		name    string
		numAug  int
		compact bool
	}{{"int64/100k rows", 100, false}, {"uint8/100k rows", 100, true}, {"int64/1M rows", 1000, false}, {"uint8/1M rows", 1000, true}} {
		b.Run(c.name, func(b *testing.B) {
			if c.numAug > 100 && testing.Short() {
				b.Skip("writes gigabytes")
			}
			out := filepath.Join(b.TempDir(), "set")
			_, err := Build(context.Background(), Options{Source: SourceGenerate, Count: 1000, TestCount: 1, NumAug: c.numAug, Compact: c.compact},
				out, nil)
			if err != nil {
				b.Fatal(err)
			}
			inCache(b, out)
			set, err := Open(out, "train")
			if err != nil {
				b.Fatal(err)
			}
			defer set.Close()
			s, err := NewSampler(set, 1, 1024, 100)
			if err != nil {
				b.Fatal(err)
			}
			var batch Batch
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			b.ResetTimer()
			before := threadCPU()
			for i := range b.N {
				if err := s.Batch(int64(i), 0, 1, &batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(threadCPU()-before)/float64(b.N), "cpu-ns/op")
		})
	}
}

// threadCPU is the processor time of this thread: what the code costs on a busy machine.
func threadCPU() time.Duration {
	return cpuTime(1) // RUSAGE_THREAD
}

// processCPU is that of all threads.
func processCPU() time.Duration { return cpuTime(syscall.RUSAGE_SELF) }

func cpuTime(who int) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(who, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
