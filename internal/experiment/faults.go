package experiment

import (
	"errors"
	"fmt"
	"strings"

	"github.com/agext/levenshtein"
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

// typing weighs the edits from what was typed to a known name: a letter that was left
// out, often a whole ending, is the most likely fault.
var typing = levenshtein.NewParams().InsCost(1).SubCost(4).DelCost(4)

// Nearest is the known name with the smallest edit distance to name, ignoring case. It is empty if none is near.
func Nearest(name string, known []string) string {
	best, least := "", 0
	for _, k := range known {
		typed, meant := strings.ToLower(name), strings.ToLower(k)
		if !near(typed, meant) {
			continue
		}
		d := levenshtein.Distance(typed, meant, typing)
		if best == "" || d < least {
			best, least = k, d
		}
	}
	return best
}

// near says whether what was typed may have meant a name: it is a part of it, or a third of its letters at most are wrong.
func near(typed, meant string) bool {
	const leastPart = 3 // letters
	if len(typed) >= leastPart && strings.Contains(meant, typed) {
		return true
	}
	wrong := levenshtein.Distance(typed, meant, nil)
	if len(typed) > 1 && wrong == 1 {
		return true
	}
	return 3*wrong <= len(typed)
}

// Suggest is the nearest name in the words of a format with one verb, for the end of a message. It is empty if none is near.
func Suggest(format, name string, known []string) string {
	nearest := Nearest(name, known)
	if nearest == "" {
		return ""
	}
	return fmt.Sprintf(format, nearest)
}
