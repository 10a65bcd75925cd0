package experiment

import (
	"errors"
	"fmt"
	"strings"
)

// Fault is one thing that is wrong with a configuration.
type Fault struct {
	Origin string // file:line, flag or variable that set the value; empty when unknown
	Key    string // configuration key, empty when the fault is not about one
	Msg    string
}

func (f Fault) Error() string {
	var parts []string
	for _, p := range []string{f.Origin, f.Key, f.Msg} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	return strings.Join(parts, ": ")
}

// Faults are all faults found in one pass. It is the error type of Validate,
// Resolve and ResolveSweep, whatever is wrong with the configuration.
type Faults []Fault

func (fs Faults) Error() string {
	if len(fs) == 1 {
		return "configuration: " + fs[0].Error()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "configuration: %d faults:", len(fs))
	for _, f := range fs {
		b.WriteString("\n  " + f.Error())
	}
	return b.String()
}

// orNil turns an empty list into a nil error.
func (fs Faults) orNil() error {
	if len(fs) == 0 {
		return nil
	}
	return fs
}

// add appends a fault without an origin.
func (fs *Faults) add(key, format string, args ...any) {
	*fs = append(*fs, Fault{Key: key, Msg: fmt.Sprintf(format, args...)})
}

// merge appends the faults of err that are not there yet; another kind of
// error becomes a fault of its own.
func (fs *Faults) merge(err error) {
	if err == nil {
		return
	}
	var list Faults
	if !errors.As(err, &list) {
		list = Faults{{Msg: err.Error()}}
	}
	seen := map[Fault]bool{}
	for _, f := range *fs {
		seen[f] = true
	}
	for _, f := range list {
		if !seen[f] {
			seen[f] = true
			*fs = append(*fs, f)
		}
	}
}

// nearest is the known name with the smallest edit distance to name, ignoring
// case; what a known name has more at its end counts a quarter.
func nearest(name string, known []string) string {
	best, bestDist := "", 0
	for _, k := range known {
		d := editDistance(strings.ToLower(name), strings.ToLower(k))
		if best == "" || d < bestDist {
			best, bestDist = k, d
		}
	}
	return best
}

// editDistance is in quarters of an edit.
func editDistance(a, b string) int {
	prev := make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur := make([]int, len(b)+1)
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
		}
		prev = cur
	}
	best := 4 * prev[len(b)]
	for j := range prev {
		best = min(best, 4*prev[j]+len(b)-j+3) // 3: the whole name is nearer than a beginning of another
	}
	return best
}
