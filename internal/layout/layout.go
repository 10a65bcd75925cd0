// Package layout says where things lie in a store, which is a folder or
// gs://bucket/prefix. It makes and reads keys; it reads and writes no object.
//
//	STORE/
//	  specs/<run>.json           resolved spec of a planned run. Written once by the Plan activity.
//	                             May be deleted when no sweep that planned it runs any more.
//	  runs/<run>/                everything of one run. May be deleted as a whole: the run then trains anew.
//	    spec.json                its spec. Written by whoever begins the run (train, import, fork) and
//	                             again by the next attempt if it is lost or damaged.
//	    import.json              the weights that the run started from. Written by import, before HEAD.json; stays.
//	    HEAD.json                fence and list of checkpoints: what it lists is the run's. Changed only by
//	                             internal/checkpoint, by compare-and-swap. Must not be deleted alone.
//	    ckpt/, metrics/, tb/     checkpoints and logs, see internal/checkpoint. Written once; deleted by the
//	                             attempt that owns the run when HEAD.json lists them no longer.
//	    result.json              what the finished run is judged by (internal/protocol). Written by train.
//	                             May be deleted: the next attempt evaluates and writes it again.
//	  datasets/<hash>/           a dataset by its content; MANIFEST.json, written last, makes it one. Written by
//	                             internal/dataset. May be deleted as a whole if its source is still there.
//	  sources/<hash>.json        which dataset a source of another place has become. Written by internal/dataset.
//	                             May be deleted: the source is asked again.
//	  sweeps/<workflow id>/      report of a sweep. Written by internal/report and overwritten by each report of
//	                             that sweep. Only results.json and kept_books.json are read again: no other
//	                             object has the time that slots took. May be deleted if nobody needs that.
//	  preflight/trials/<hash>.json       rows of trials that succeeded. Written by the Trial activity.
//	  preflight/trial-<host>-<process>/  store of a trial that runs now. Deleted by the trial.
//	  preflight/<host>-<process>         probe of the store's permissions. Deleted by the check that wrote it.
//	                             All of preflight/ may be deleted while no preflight runs.
//	  compiled/<key>             programs that XLA compiled, shared by all runs. Written by internal/train.
//	                             May be deleted at any time.
//
// Names in keys are checked where they come in (blob.CheckKey), not here.
package layout

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"trmsweep/internal/blob"
)

// EmbeddedStore is the bucket that every embedded stack has (cmd/devstack, which cannot import this package, makes it).
const EmbeddedStore = "gs://trmsweep"

// Folders of the store, as prefixes for listing.
const (
	Specs     = "specs/"
	Runs      = "runs/"
	Sweeps    = "sweeps/"
	Preflight = "preflight/"

	datasets = "datasets/"
	sources  = "sources/"
	compiled = "compiled/"
	trials   = Preflight + "trials/"
)

// Objects with a fixed name. HEAD.json and MANIFEST.json are explained in
// internal/checkpoint; a dataset has a MANIFEST.json of its own kind.
const (
	SpecFile     = "spec.json"
	ImportFile   = "import.json"
	HeadFile     = "HEAD.json"
	ManifestFile = "MANIFEST.json"
	ResultFile   = "result.json"
)

// RunName names a run by its content: the first 16 digits of its spec's hash and the seed.
func RunName(specHash string, seed int64) string { return fmt.Sprintf("%.16s-s%d", specHash, seed) }

var runName = regexp.MustCompile(`^([0-9a-f]{16})-s(-?\d+)$`)

// ParseRunName is the inverse of RunName; false for a run whose name somebody chose.
func ParseRunName(run string) (specHash string, seed int64, ok bool) {
	m := runName.FindStringSubmatch(run)
	if m == nil {
		return "", 0, false
	}
	seed, err := strconv.ParseInt(m[2], 10, 64)
	return m[1], seed, err == nil
}

// Run is the part of the store that belongs to a run.
func Run(b blob.Bucket, run string) blob.Bucket { return blob.Prefix(b, RunKey(run, "")) }

// RunKey is the key of a run's object.
func RunKey(run, object string) string { return Runs + run + "/" + object }

// ParseRunKey is the inverse of RunKey.
func ParseRunKey(key string) (run, object string, ok bool) {
	rest, ok := strings.CutPrefix(key, Runs)
	if !ok {
		return "", "", false
	}
	return strings.Cut(rest, "/")
}

// SpecKey is the key of the spec that was planned for a run.
func SpecKey(run string) string { return Specs + run + ".json" }

// SweepKey is the key of an object of a sweep's report; id is the workflow's.
func SweepKey(id, object string) string { return Sweeps + id + "/" + object }

// Dataset is the part of the store that belongs to a dataset.
func Dataset(b blob.Bucket, hash string) blob.Bucket { return blob.Prefix(b, DatasetKey(hash, "")) }

// DatasetKey is the key of a dataset's object.
func DatasetKey(hash, object string) string { return datasets + hash + "/" + object }

// SourceKey is the key of the record of a source.
func SourceKey(hash string) string { return sources + hash + ".json" }

// TrialKey is the key of the row of a trial that succeeded.
func TrialKey(hash string) string { return trials + hash + ".json" }

// TrialStore is the prefix of the store of a trial that runs in a process of a host.
func TrialStore(host, process string) string {
	return Preflight + "trial-" + host + "-" + process + "/"
}

// ProbeKey is the key that a process of a host probes the store's permissions with.
func ProbeKey(host string, pid int) string { return fmt.Sprintf("%s%s-%d", Preflight, host, pid) }

// Compiled is the part of the store that holds compiled programs.
func Compiled(b blob.Bucket) blob.Bucket { return blob.Prefix(b, compiled) }
