package pjrt

import (
	"os"
	"strings"
	"testing"
)

func TestParseCPUInfo(t *testing.T) {
	const two = "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 143\nmodel name\t: some name\n" +
		"flags\t\t: fpu avx2 fma ibrs avx512f\nbugs\t\t: none\n\n" +
		"processor\t: 1\nvendor_id\t: Other\nflags\t\t: nothing\n"
	p := parseCPUInfo(strings.NewReader(two))
	if !strings.HasSuffix(p.model, "-GenuineIntel-6-143") || p.features != "avx2 avx512f fma fpu ibrs" || p.vectors != "avx2 avx512f fma" {
		t.Errorf("%+v", p)
	}
	const one = "processor\t: 0\nFeatures\t: fp asimd asimddp sve\nCPU implementer\t: 0x41\nCPU variant\t: 0x1\nCPU part\t: 0xd40\n"
	arm := parseCPUInfo(strings.NewReader(one))
	if !strings.HasSuffix(arm.model, "-0x41-0x1-0xd40") || arm.vectors != "asimd asimddp sve" {
		t.Errorf("%+v", arm)
	}
	if _, err := os.Stat("/proc/cpuinfo"); err == nil && thisProcessor().features == "" {
		t.Error("nothing known of this processor")
	}
}

func TestFlags(t *testing.T) {
	for name, c := range map[string]struct {
		xla, tpu, want string
		dumps          bool
	}{
		"none":          {"", "", "", false},
		"both":          {"--xla_a=1", "--xla_tpu_b=true", "--xla_a=1 --xla_tpu_b=true", false},
		"a local path":  {"--xla_gpu_cuda_data_dir=/home/me/cuda --xla_a", "", "--xla_a", false},
		"quoted path":   {`--xla_x="/tmp/x"`, "", "", false},
		"dump":          {"--xla_dump_to=out --xla_a=1", "", "--xla_a=1", true},
		"dump of a TPU": {"", "--xla_dump_hlo_as_text", "", true},
	} {
		getenv := func(name string) string {
			return map[string]string{"XLA_FLAGS": c.xla, "LIBTPU_INIT_ARGS": c.tpu}[name]
		}
		if got := flags(getenv); got != c.want || dumps(getenv) != c.dumps {
			t.Errorf("%s: %q, dumps %v; want %q, %v", name, got, dumps(getenv), c.want, c.dumps)
		}
	}
}
