package protocol

import (
	"errors"
	"strings"
	"time"

	"trmsweep/internal/blob"
)

// Kinds of a hold-up. They are values of the search attribute TrmHoldup too.
const (
	HoldupNoWorker       = "no-worker"       // nobody takes the task: no worker polls the queue
	HoldupNoSlot         = "no-slot"         // every slot that may be used is taken
	HoldupBackoff        = "backoff"         // an attempt has ended early, the next one waits a while
	HoldupOtherRun       = "other-run"       // another experiment trains the same run, or the one to go on from
	HoldupPaused         = "paused"          // by a command
	HoldupActivityPaused = "activity-paused" // the Train activity, in the Web UI or by `temporal activity pause`
	HoldupDiskFull       = "disk-full"       // the store or the host's disk has no room
	HoldupStorageAway    = "storage-away"    // the store does not answer
	HoldupDeviceBusy     = "device-busy"     // another process holds the device
)

// resume is the command that ends some of them.
const resume = "`trmsweep resume`"

// holdups says of each kind what the user sees and what there is to do.
var holdups = map[string]struct{ what, advice string }{
	HoldupNoWorker:       {"no worker listens", "start `trmsweep worker` against the same server and namespace"},
	HoldupNoSlot:         {"waits for a free slot", ""},
	HoldupBackoff:        {"waits after an attempt that ended early", ""},
	HoldupOtherRun:       {"waits for another run", ""},
	HoldupPaused:         {"paused by a command", resume + " lets it go on"},
	HoldupActivityPaused: {"its activity is paused in the Web UI", resume + " frees it, or unpause it there"},
	HoldupDiskFull:       {"no space left", "free some, and it goes on by itself"},
	HoldupStorageAway:    {"the store does not answer", "it goes on by itself when the store is back"},
	HoldupDeviceBusy:     {"another process holds the device", "stop that process, or wait for its end"},
}

// Holdup is what keeps a run from going on. The zero value is: nothing.
type Holdup struct {
	Kind   string    `json:"kind"`             // one of the constants
	Since  time.Time `json:"since,omitzero"`   // by the clock of whoever noticed it
	Where  string    `json:"where,omitempty"`  // the host, if it is about one
	Detail string    `json:"detail,omitempty"` // what is known beyond the kind, as the error of the store
}

// StorageHoldup is the hold-up by a store that has failed since a time, as the process on a host sees it.
func StorageHoldup(err error, host string, since time.Time) Holdup {
	kind := HoldupStorageAway
	if errors.Is(err, blob.ErrFull) {
		kind = HoldupDiskFull
	}
	return Holdup{Kind: kind, Since: since, Where: host, Detail: err.Error()}
}

// None says whether nothing holds the run up.
func (h Holdup) None() bool { return h.Kind == "" }

// Passes says whether the hold-up ends by itself as the study goes on, so that a forecast may count on it.
func (h Holdup) Passes() bool {
	switch h.Kind {
	case "", HoldupNoSlot, HoldupBackoff, HoldupOtherRun:
		return true
	}
	return false
}

// Same says whether two hold-ups are one that lasts, perhaps with other words.
func (h Holdup) Same(other Holdup) bool { return h.Kind == other.Kind && h.Where == other.Where }

// String is the hold-up in a sentence for people: what it is, where, since when and what to do.
func (h Holdup) String() string { return h.Sentence("") }

// Sentence is String with the workflow id of the sweep in the command that it tells to type, which is about the newest
// sweep without one.
func (h Holdup) Sentence(sweep string) string {
	if h.None() {
		return ""
	}
	words, known := holdups[h.Kind]
	if !known { // of a newer version
		words.what = h.Kind
	}
	text := words.what
	if h.Where != "" {
		text += " on " + h.Where
	}
	if !h.Since.IsZero() {
		text += h.Since.UTC().Format(" since Jan 2 15:04 UTC")
	}
	if h.Detail != "" {
		text += ": " + shortened(h.Detail, 300)
	}
	advice := words.advice
	if sweep != "" {
		advice = strings.Replace(advice, resume, strings.TrimSuffix(resume, "`")+" --sweep "+sweep+"`", 1)
	}
	if advice != "" {
		text += "; " + advice
	}
	return text
}

// shortened is the text if it has at most n runes, else its beginning with an ellipsis.
func shortened(text string, n int) string {
	runes := []rune(text)
	if len(runes) <= n {
		return text
	}
	return string(runes[:n-1]) + "…"
}
