package kernel

import (
	"fmt"
	"os"
)

// Level is the instruction set in use.
type Level int

// The levels, weakest first.
const (
	Generic Level = iota
	AVX2
	AVX512
)

// LevelVariable is the environment variable that asks for a level: avx512, avx2 or generic.
const LevelVariable = "TRMSWEEP_CPU"

var levelNames = [...]string{"generic", "avx2", "avx512"}

func (l Level) String() string { return levelNames[l] }

var current Level

func init() {
	best := Best()
	for l := Generic; l <= best; l++ {
		if os.Getenv(LevelVariable) == l.String() {
			best = l
		}
	}
	if err := Use(best); err != nil {
		panic(err)
	}
}

// Current returns the level in use.
func Current() Level { return current }

// Use selects a level for the whole process. It must not run while kernels do. It is an error when the CPU or the operating
// system lacks the level.
func Use(l Level) error {
	if l < Generic || l > Best() {
		return fmt.Errorf("use CPU level %d: this machine offers at most %s; set %s to that or less", int(l), Best(), LevelVariable)
	}
	current = l
	useGeneric()
	useLevel(l)
	return nil
}
