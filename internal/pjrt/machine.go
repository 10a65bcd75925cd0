package pjrt

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// processor describes this machine's processor as far as a compiler depends on it.
type processor struct {
	model    string // vendor, family and model
	features string // every feature that the system lists
	vectors  string // the features that decide which instructions compute
}

// thisProcessor is read once.
var thisProcessor = sync.OnceValue(func() processor {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return processor{model: runtime.GOOS + "/" + runtime.GOARCH}
	}
	defer f.Close()
	return parseCPUInfo(f)
})

// instructions matches the features by which XLA's code for x86-64 and ARM differs. Other
// features in /proc/cpuinfo depend on the kernel's version.
var instructions = regexp.MustCompile(`^(avx.*|amx.*|fma4?|f16c|bmi[12]|abm|vaes|vpclmulqdq|gfni|xop|` +
	`asimd.*|sve.*|sme.*|bf16|i8mm|fphp|fcma)$`)

// parseCPUInfo parses the first processor of /proc/cpuinfo.
func parseCPUInfo(r io.Reader) processor {
	var model, features []string
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if lines.Text() == "" && len(features) > 0 {
			break
		}
		key, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimSpace(value)
		switch strings.TrimSpace(key) {
		case "vendor_id", "cpu family", "model", "CPU implementer", "CPU part", "CPU variant":
			model = append(model, value)
		case "flags", "Features":
			features = strings.Fields(value)
		}
	}
	slices.Sort(features)
	vectors := slices.DeleteFunc(slices.Clone(features), func(f string) bool { return !instructions.MatchString(f) })
	return processor{
		model:    strings.Join(append([]string{runtime.GOARCH}, model...), "-"),
		features: strings.Join(features, " "),
		vectors:  strings.Join(vectors, " "),
	}
}

// compilerFlags are the environment variables with flags of XLA.
var compilerFlags = []string{"XLA_FLAGS", "LIBTPU_INIT_ARGS"}

// flags returns the compiler's flags without those that only name files: local paths differ
// between hosts and change no program.
func flags(getenv func(string) string) string {
	var kept []string
	for _, name := range compilerFlags {
		for _, flag := range strings.Fields(getenv(name)) {
			_, value, _ := strings.Cut(flag, "=")
			if isDump(flag) || strings.HasPrefix(strings.Trim(value, `"'`), "/") {
				continue
			}
			kept = append(kept, flag)
		}
	}
	return strings.Join(kept, " ")
}

// dumps says whether the user asked for dumps of the compilation. Then the program must not come from the cache.
func dumps(getenv func(string) string) bool {
	return slices.ContainsFunc(compilerFlags, func(name string) bool { return slices.ContainsFunc(strings.Fields(getenv(name)), isDump) })
}

func isDump(flag string) bool { return strings.HasPrefix(strings.TrimLeft(flag, "-"), "xla_dump_") }

// short abbreviates a hash for messages.
func short(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:4])
}
