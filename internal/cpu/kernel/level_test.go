package kernel

import (
	"slices"
	"testing"
)

// everyLevel runs the test on each level of this machine, chosen explicitly.
func everyLevel(t *testing.T, f func(t *testing.T)) {
	eachLevel(t, func(l Level) { t.Run(l.String(), f) })
}

// eachLevel is everyLevel without tests of their own, for fuzzing.
func eachLevel(t *testing.T, f func(l Level)) {
	t.Helper()
	before := Current()
	defer func() { _ = Use(before) }()
	for _, l := range Levels() {
		if err := Use(l); err != nil {
			t.Fatal(err)
		}
		f(l)
	}
}

func TestLevels(t *testing.T) {
	levels := Levels()
	if levels[0] != Generic || !slices.IsSorted(levels) || !slices.Contains(levels, Best()) {
		t.Errorf("levels %v, best %v: want generic first, the best among them", levels, Best())
	}
	if err := Use(NEON + 1); err == nil {
		t.Error("a level that no machine has was accepted")
	}
	t.Setenv(LevelVariable, "avx9")
	if err := CheckRequested(); err == nil {
		t.Error("an unknown level was accepted")
	}
	t.Setenv(LevelVariable, "generic")
	if err := CheckRequested(); err != nil {
		t.Error(err)
	}
}
