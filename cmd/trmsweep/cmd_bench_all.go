package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"trmsweep/internal/cpu/kernel"
	"trmsweep/internal/trm"
)

// benchConfigs are what `bench all` times: the sizes of the study, and the paper's model.
var benchConfigs = []struct {
	name  string
	flags string
	short bool // part of --short
}{
	{"hidden 64, batch 64, T2 n2", "--hidden 64 --batch 64 --T 2 --n 2", true},
	{"hidden 64, batch 64, T2 n2, bf16", "--hidden 64 --batch 64 --T 2 --n 2 --dtype bfloat16", true},
	{"hidden 128, batch 64, T2 n2", "--hidden 128 --batch 64 --T 2 --n 2", true},
	{"hidden 128, batch 64, T2 n2, bf16", "--hidden 128 --batch 64 --T 2 --n 2 --dtype bfloat16", false},
	{"paper, batch 8, T3 n6", "--hidden 512 --batch 8 --T 3 --n 6", true},
	{"paper, batch 8, T3 n6, bf16", "--hidden 512 --batch 8 --T 3 --n 6 --dtype bfloat16", false},
	{"paper, batch 32, T3 n6", "--hidden 512 --batch 32 --T 3 --n 6", false},
	{"paper, batch 32, T3 n6, bf16", "--hidden 512 --batch 32 --T 3 --n 6 --dtype bfloat16", false},
}

func newBenchAllCmd(a *app) *cobra.Command {
	var backendName string
	var threads, steps int
	var short bool
	cmd := &cobra.Command{
		Use: "all", Short: "Time training steps of every size against this machine's matrix product", Args: cobra.NoArgs,
		Long: "Each size runs in a process of its own. The ceiling is a product of 2048x2048 float32 matrices by package kernel, the best of\n" +
			"three just before; CPU share is the same per second of processor time, which a busy machine disturbs less. Backend cpu uses " +
			"the best\n" +
			"kernels of the machine; " + kernel.LevelVariable + " asks for others: generic, avx2, avx512, avx512bf16, amx or neon.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := errors.Join(benchStepsFault(steps), threadsFault(threads)); err != nil {
				return err
			}
			if threads < 1 {
				threads = runtime.GOMAXPROCS(0)
			}
			return benchAll(cmd, a, backendName, threads, steps, short)
		},
	}
	f := cmd.Flags()
	f.StringVar(&backendName, "backend", "cpu", "auto, cpu, go or xla:...")
	f.IntVar(&threads, "threads", 0, "threads, 0 = all")
	f.IntVar(&steps, "steps", 3, "steps to time, after one that compiles")
	f.BoolVar(&short, "short", false, "leave out what takes minutes")
	return cmd
}

func benchAll(cmd *cobra.Command, a *app, backendName string, threads, steps int, short bool) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	now := time.Now().UTC().Format("2006-01-02 15:04 MST")
	fmt.Fprintf(a.stdout, "%s, %s kernels, %d threads, backend %s, load %s\n", now, kernel.Current(), threads, backendName, loadAverage())
	t := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "config\ts/step\tbest\tCPU s/step\tGFLOP/s\tceiling\tshare\tCPU share\tpeak MB\tallocs\t")
	for _, c := range benchConfigs {
		if short && !c.short {
			continue
		}
		top, perCPU := ceiling(threads)
		args := append(strings.Fields("bench step "+c.flags), "--json", "--backend", backendName,
			"--threads", fmt.Sprint(threads), "--steps", fmt.Sprint(steps))
		child := exec.CommandContext(cmd.Context(), self, args...)
		child.Stderr = a.stderr
		out, err := child.Output()
		if err != nil {
			return fmt.Errorf("%s %s: %w", self, strings.Join(args, " "), err)
		}
		var l benchLine
		if err := json.Unmarshal(out, &l); err != nil {
			return fmt.Errorf("%s %s: read its line: %w", self, strings.Join(args, " "), err)
		}
		fmt.Fprintf(t, "%s\t%.3f\t%.3f\t%.3f\t%.0f\t%.0f\t%.0f%%\t%.0f%%\t%.0f\t%.0f\t\n", c.name,
			l.SecondsPerStep, l.SecondsMin, l.CPUSecondsPerStep,
			l.GFLOPs, top, 100*l.GFLOPs/top, 100*l.GFLOPs*l.SecondsPerStep/l.CPUSecondsPerStep/perCPU, l.PeakRSSMB, l.AllocsPerStep)
	}
	err = t.Flush()
	fmt.Fprintf(a.stdout, "load afterwards %s\n", loadAverage())
	return err
}

// ceiling is the rate of a large float32 product: GFLOP per second, and per second of processor time.
func ceiling(threads int) (perSecond, perCPU float64) {
	const n = 2048
	p := kernel.NewPool(threads)
	defer p.Close()
	g := kernel.Gemm{
		M: n, N: n, K: n, Batch: 1,
		A: make([]float32, n*n), B: make([]float32, n*n), C: make([]float32, n*n),
		ARow: n, ACol: 1, BRow: n, BCol: 1, CRow: n,
	}
	for i := range g.A {
		g.A[i], g.B[i] = float32(i%13)-6, float32(i%7)-3
	}
	for i := range 4 { // the first warms up
		begin, cpu := time.Now(), trm.CPUSeconds()
		p.Gemm(&g)
		if i > 0 {
			perSecond = max(perSecond, 2*n*n*n/time.Since(begin).Seconds()/1e9)
			perCPU = max(perCPU, 2*n*n*n/(trm.CPUSeconds()-cpu)/1e9)
		}
	}
	return perSecond, perCPU
}

// loadAverage is the machine's, of one minute; "unknown" if the system does not tell.
func loadAverage() string {
	b, err := os.ReadFile("/proc/loadavg")
	if f := strings.Fields(string(b)); err == nil && len(f) > 0 {
		return f[0]
	}
	return "unknown"
}
