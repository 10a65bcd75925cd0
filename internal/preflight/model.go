package preflight

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"

	"trmsweep/internal/experiment"
)

// Shape names what decides a spec's graphs: specs of one shape need one trial, with the largest batch among them.
func Shape(s experiment.Spec) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %d %d %d %d %g %t %s %d %d %s %s %t", s.HCycles, s.LCycles, s.LLayers, s.HiddenSize, s.NumHeads,
		s.Expansion, s.MLPT, s.PosEncodings, s.PuzzleEmbNDim, s.PuzzleEmbLen, s.ForwardDType, s.LossType, s.FreezeWeights))
	return hex.EncodeToString(sum[:6])
}

// OnePerShape picks one item per shape, the one with the largest batch, in order of first mention.
func OnePerShape[T any](items []T, shape func(T) string, batch func(T) int) []T {
	var out []T
	at := map[string]int{}
	for _, item := range items {
		i, seen := at[shape(item)]
		if !seen {
			at[shape(item)] = len(out)
			out = append(out, item)
		} else if batch(item) > batch(out[i]) {
			out[i] = item
		}
	}
	return out
}

// Shapes picks one spec per shape, the one with the largest batch.
func Shapes(specs []experiment.Spec) []experiment.Spec {
	return OnePerShape(specs, Shape, func(s experiment.Spec) int { return s.GlobalBatchSize })
}

// TrainingBytes estimates the memory that one training process needs for its
// arrays: weights, moments, EMA and gradients, the sums of gradients that wait to be added,
// the carry twice (in and out), and of one shard what the last recursion keeps for its
// backward pass, and the logits. The process itself comes on top.
func TrainingBytes(s experiment.Spec) float64 {
	elt := 4.0
	if s.ForwardDType == "bfloat16" {
		elt = 2
	}
	b, l, d := float64(s.ShardRows()), float64(s.Positions()), float64(s.HiddenSize)
	inter := float64(experiment.SwiGLUInter(s.HiddenSize, s.Expansion))
	block := 4*b*l*d + 3*b*l*inter // norms, residuals; gate, up and their product
	if s.MLPT {
		block += 2*b*l*d + 3*b*d*float64(experiment.SwiGLUInter(s.Positions(), s.Expansion))
	} else {
		block += 4*b*l*d + 2*b*float64(s.NumHeads)*l*l
	}
	sets := 5 + math.Log2(float64(max(s.GradientShards, 1)))
	carry := 4 * float64(s.GlobalBatchSize) * l * d * elt
	kept := float64((s.LCycles+1)*s.LLayers) * block * elt
	return sets*4*float64(s.Params()) + carry + kept + 3*4*b*experiment.SeqLen*experiment.VocabSize
}

// StateBytes estimates what the state of one training process takes in the memory of the host where an
// accelerator trains: the arrays of a checkpoint, as read and as two copies that are saved in turn.
func StateBytes(s experiment.Spec) float64 { return 3 * float64(s.CheckpointBytes()) }

// Memory wants the memory that one process needs for the most demanding spec to be on this host, slots times:
// TrainingBytes, or StateBytes for an accelerator, whose own memory only a trial can try.
func Memory(specs []experiment.Spec, slots int, bytes func(experiment.Spec) float64) Check {
	return Check{Name: "memory", Run: func(context.Context) (string, error) {
		if len(specs) == 0 {
			return "no experiment to look at", nil
		}
		largest := specs[0]
		for _, s := range specs {
			if bytes(s) > bytes(largest) {
				largest = s
			}
		}
		want := bytes(largest) * float64(max(slots, 1))
		free, err := availableMemory()
		if err != nil {
			return "", err
		}
		text := fmt.Sprintf("%s needs about %s", largest.Name, humanize.Bytes(uint64(want)))
		if slots > 1 {
			text += fmt.Sprintf(" in %d processes at once", slots)
		}
		text += fmt.Sprintf(", %s are available", humanize.Bytes(uint64(free)))
		if want > free {
			return "", fmt.Errorf("%s: a smaller batch, fewer --slots, or another host", text)
		}
		return text, nil
	}}
}

// availableMemory is what this host, or the container around this process, can still give, in bytes.
func availableMemory() (float64, error) {
	data, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, fmt.Errorf("read available memory: %w", err)
	}
	free := 0.0
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "MemAvailable:" {
			kb, err := strconv.ParseFloat(f[1], 64)
			if err != nil {
				return 0, fmt.Errorf("read available memory: %w", err)
			}
			free = kb * 1024
		}
	}
	limit, used := number("/sys/fs/cgroup/memory.max"), number("/sys/fs/cgroup/memory.current")
	if limit > 0 && limit-used < free {
		free = limit - used
	}
	return free, nil
}

func number(file string) float64 {
	data, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	x, _ := strconv.ParseFloat(strings.TrimSpace(string(data)), 64) // "max" is no limit
	return x
}

// Libraries says what this program was built from.
func Libraries(code string, modules map[string]string) Check {
	return Check{Name: "program", Run: func(context.Context) (string, error) {
		text := fmt.Sprintf("trmsweep %s, %s, %s/%s, %d cores", code, runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0))
		for _, m := range []string{"github.com/gomlx/gomlx", "github.com/gomlx/go-xla", "go.temporal.io/sdk", "cloud.google.com/go/storage"} {
			if v := modules[m]; v != "" {
				text += ", " + m[strings.LastIndexByte(m, '/')+1:] + " " + v
			}
		}
		return text, nil
	}}
}
