package aot

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTooBig(t *testing.T) {
	for name, tc := range map[string]struct {
		message    string
		need, have float64 // GiB; 0: it is about something else
	}{
		"libtpu 0.0.52": {"E1000: CompileTimeHbmOom: Ran out of memory on HBM, the total memory required for HLO temporaries (384.00G) " +
			"exceeds available HBM (30.75G). HLO module: big.", 384, 30.75},
		"older": {"RESOURCE_EXHAUSTED: XLA:TPU compile permanent error. Ran out of memory in memory space hbm. " +
			"Used 31.40G of 15.25G hbm. Exceeded hbm capacity by 16.15G.", 31.4, 15.25},
		"suffixes": {"Used 2.00T of 512.00M hbm", 2048, 0.5},
		"vmem":     {"Ran out of memory in memory space vmem. Used 17.00M of 16.00M vmem.", 0, 0},
		"other":    {"Invalid TPU external name: TPU v9", 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			got := tooBig(tc.message)
			if tc.need == 0 {
				if got != nil {
					t.Errorf("%+v, want nothing", got)
				}
				return
			}
			if diff := cmp.Diff(&TooBig{gib(tc.need), gib(tc.have)}, got); diff != "" {
				t.Errorf("the memory read from the message (-want +got):\n%s", diff)
			}
		})
	}
}
