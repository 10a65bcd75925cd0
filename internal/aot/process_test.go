//go:build cgo && linux

package aot

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"trmsweep/configs"
	"trmsweep/internal/experiment"
)

const printEnv = "TRMSWEEP_TEST_PRINT_PROGRAMS"

// TestProgramsAreTheSameInEveryProcess: what is kept of a compiler is found again by the program's text. Go shuffles maps anew in
// every process and in every loop, so this fails where a graph is built in the order of a map.
func TestProgramsAreTheSameInEveryProcess(t *testing.T) {
	keys := func() string {
		var lines []string
		for name, dtype := range map[string]string{"e1_1_baseline": "bfloat16", "e2_3_attention": "float32"} {
			spec, err := experiment.Resolve(configs.FS, name, "smoke", []string{"forward_dtype=" + dtype}, nil)
			if err != nil {
				t.Fatal(err)
			}
			j, err := NewJob(spec)
			if err != nil {
				t.Fatal(err)
			}
			for program, p := range j.Programs {
				lines = append(lines, fmt.Sprintf("%s %s %s\n", name, program, p.Key()))
			}
		}
		slices.Sort(lines)
		return strings.Join(lines, "")
	}
	mine := keys()
	if os.Getenv(printEnv) != "" {
		fmt.Print(mine)
		return
	}
	if n := strings.Count(mine, "\n"); n != 6 {
		t.Errorf("%d programs, want three of each of two models:\n%s", n, mine)
	}
	for range 2 {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), printEnv+"=1")
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		if theirs, _, _ := strings.Cut(string(out), "PASS"); theirs != mine {
			t.Errorf("another process:\n%s\nthis one:\n%s", theirs, mine)
		}
	}
}
