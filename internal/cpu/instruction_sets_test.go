package cpu_test

import (
	"os"
	"os/exec"
	"testing"

	"github.com/gomlx/gomlx/backends"

	"trmsweep/internal/cpu/kernel"
)

// TestEveryLevel runs the comparisons with the reference again for each other level. Each run is a process of its own, since an executable
// binds its kernels when it is compiled.
func TestEveryLevel(t *testing.T) {
	for _, l := range kernel.Levels() {
		if l == kernel.Current() {
			continue
		}
		t.Run(l.String(), func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.run", "^(TestNetworks|TestSpecialValues|TestEmptyShapes)", "-test.count=1")
			cmd.Env = append(os.Environ(), kernel.LevelVariable+"="+l.String())
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

func TestUnknownLevelIsAnError(t *testing.T) {
	t.Setenv(kernel.LevelVariable, "avx9")
	if _, err := backends.NewWithConfig("cpu:threads=1"); err == nil {
		t.Errorf("%s=avx9 was accepted", kernel.LevelVariable)
	}
}
