package main

import (
	"strings"
	"testing"

	"trmsweep/internal/tpu"
)

func TestPlacement(t *testing.T) {
	for name, c := range map[string]struct {
		flags        workerFlags
		env          string // NAME=VALUE
		slots, chips int
		fault        string
	}{
		"no TPU":                    {flags: workerFlags{backend: "cpu", profile: "paper"}, slots: 1},
		"no TPU, more slots":        {flags: workerFlags{backend: "cpu", profile: "paper", slots: 3}, slots: 3},
		"no TPU, placement":         {flags: workerFlags{backend: "cpu", placement: "chip", chips: 4}, slots: 1},
		"the profile's":             {flags: workerFlags{backend: "xla:tpu", profile: "paper", chips: 4}, slots: 4, chips: 4},
		"another profile's":         {flags: workerFlags{backend: "xla:tpu", profile: "smoke", chips: 4}, slots: 1},
		"by path":                   {flags: workerFlags{backend: "xla:/opt/libtpu.so", placement: "chip", chips: 8}, slots: 8, chips: 8},
		"whole host":                {flags: workerFlags{backend: "xla:tpu", profile: "paper", placement: "host", chips: 4}, slots: 1},
		"fewer slots":               {flags: workerFlags{backend: "xla:tpu", profile: "paper", chips: 4, slots: 2}, slots: 2, chips: 4},
		"more slots than chips":     {flags: workerFlags{backend: "xla:tpu", profile: "paper", chips: 4, slots: 5}, fault: "--slots 5"},
		"a number that no host has": {flags: workerFlags{backend: "xla:tpu", placement: "chip", chips: 3}, fault: "want 1, 4 or 8"},
		"the user has placed already": {flags: workerFlags{backend: "xla:tpu", profile: "paper", chips: 4}, env: "TPU_VISIBLE_CHIPS=1",
			fault: "TPU_VISIBLE_CHIPS=1"},
		"placed, and for whole hosts": {flags: workerFlags{backend: "xla:tpu", placement: "host", chips: 4}, env: "TPU_VISIBLE_CHIPS=1",
			slots: 1},
		"the environment's placement": {flags: workerFlags{backend: "xla:tpu", profile: "smoke", chips: 4}, env: "TRMSWEEP_SET_PLACEMENT=chip",
			slots: 4, chips: 4},
		"auto without a plugin of TPU": {flags: workerFlags{backend: "auto", profile: "paper", chips: 4}, slots: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("PJRT_PLUGIN_LIBRARY_PATH", t.TempDir())
			if c.env != "" {
				key, value, _ := strings.Cut(c.env, "=")
				t.Setenv(key, value)
			}
			a := &app{}
			cfg, err := a.configs()
			if err != nil {
				t.Fatal(err)
			}
			f := c.flags
			err = f.place(cfg)
			if c.fault != "" {
				if err == nil || !strings.Contains(err.Error(), c.fault) {
					t.Fatalf("%v; want a fault with %q", err, c.fault)
				}
				return
			}
			if err != nil || f.slots != c.slots || f.chips != c.chips {
				t.Errorf("%d slots, %d chips, %v; want %d, %d", f.slots, f.chips, err, c.slots, c.chips)
			}
			if f.chips > 0 && len(tpu.Isolation(f.chips, f.chips-1)) == 0 {
				t.Error("the last chip has no environment")
			}
		})
	}
}
