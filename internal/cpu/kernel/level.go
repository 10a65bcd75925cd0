package kernel

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// Level is the instruction set in use.
type Level int

// The levels. AVX512, AVX512BF16 and AMX differ in bfloat16 products only: widened to float32, by VDPBF16PS, by tiles. NEON, on arm64,
// is like AVX2: matrix products have kernels, the rest is Go.
const (
	Generic Level = iota
	AVX2
	AVX512
	AVX512BF16
	AMX
	NEON
)

// LevelVariable is the environment variable that asks for a level: generic, avx2, avx512, avx512bf16, amx or neon.
const LevelVariable = "TRMSWEEP_CPU"

var levelNames = [...]string{"generic", "avx2", "avx512", "avx512bf16", "amx", "neon"}

func (l Level) String() string { return levelNames[l] }

var (
	current   Level
	available = detectLevels()
)

func init() {
	best := Best()
	for _, l := range available {
		if os.Getenv(LevelVariable) == l.String() {
			best = l
		}
	}
	if err := Use(best); err != nil {
		panic(err)
	}
}

// CheckRequested returns an error if the environment asks for a level that this machine lacks. The best one is then in use.
func CheckRequested() error {
	if name := os.Getenv(LevelVariable); name != "" && !slices.Contains(levelNamesOf(available), name) {
		return fmt.Errorf("%s=%q: this machine offers %s", LevelVariable, name, strings.Join(levelNamesOf(available), ", "))
	}
	return nil
}

func levelNamesOf(levels []Level) []string {
	names := make([]string, len(levels))
	for i, l := range levels {
		names[i] = l.String()
	}
	return names
}

// Current returns the level in use.
func Current() Level { return current }

// Levels returns the levels that CPU and operating system have, weakest first. Tests run on each of them.
func Levels() []Level { return slices.Clone(available) }

// Best returns the level that is used unless another is asked for: the strongest, except that avx512bf16 is left out on a CPU where it is
// slower than float32. It depends on the machine alone.
func Best() Level {
	best := available[len(available)-1]
	if best == AVX512BF16 && !dotPairsFast() {
		return AVX512
	}
	return best
}

// Use selects a level for the whole process. It must not run while kernels do. It fails if the CPU or the operating system lacks the
// level.
func Use(l Level) error {
	if !slices.Contains(available, l) {
		return fmt.Errorf("use CPU level %d: this machine offers %s; set %s to one of them",
			int(l), strings.Join(levelNamesOf(available), ", "), LevelVariable)
	}
	current = l
	useGeneric()
	useLevel(l)
	return nil
}
