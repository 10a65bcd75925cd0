// Package checkpoint keeps the state of a training run in object storage so
// that a preempted run continues with the same bytes. It owns the layout, the
// order of writes, the fence against writers that were given up for dead, and
// the choice of the interval. It knows the blob contract and named tensors; it
// never knows a cloud, a model or a workflow engine.
//
// What goes in is a Snapshot: named arrays, counters and the log lines since the
// snapshot before. What comes out is the newest Checkpoint that is whole, or an error.
//
// Layout under a run's prefix:
//
//	HEAD.json                                 fence and list of the run's checkpoints, changed only by compare-and-swap
//	ckpt/<step>-<term>-<nonce>/rank-00000-of-00001.safetensors
//	ckpt/<step>-<term>-<nonce>/shard-00003-of-00032.safetensors   a shard's rows of the carry, if there are several shards
//	ckpt/<step>-<term>-<nonce>/MANIFEST.json  its presence makes a checkpoint; HEAD lists those of the run
//	metrics/<step>-<term>-<nonce>.jsonl       log lines since the commit before
//	tb/events.out.tfevents.<step>.<term>-<nonce>
//
// Everything except HEAD is written once, under a name that no other writer
// can choose, and HEAD last. A crash anywhere leaves the commit before it live, or
// this one if its manifest was stored.
//
// A term is one holding of the run by one Writer. Acquire raises the term in HEAD by one,
// and from then on no writer of an earlier term can commit: its swap of HEAD fails, which
// is ErrFenced. (In the files the term is called epoch.) One Save:
//
//	settle ---- HEAD is of another term ----> ErrFenced
//	  |  saves whose outcome was unknown are found in HEAD or given up
//	putFiles    state (hashed beside the upload)
//	putLogs     log lines and events, with those of failed saves
//	Check       look at the fence once more
//	putManifest from here on the checkpoint can be restored, even if HEAD is lost
//	swap HEAD ---- another term was faster --> ErrFenced, the objects are deleted
//	  |        ---- no answer ---------------> outcome unknown: the next settle finds out
//	  live; checkpoints that HEAD lists no longer are deleted
//
// Restore reads HEAD and tries its checkpoints from the newest to the oldest. A damaged or
// missing HEAD is made anew from the manifests that lie there (head.go).
package checkpoint

import (
	"encoding/json"
	"errors"
	"time"

	"trmsweep/internal/protocol"
	"trmsweep/internal/tensor"
)

// Format is the version in HEAD and MANIFEST files that this package writes and reads.
const Format = 1

var (
	// ErrFenced: another attempt has acquired the run, or HEAD is gone. Final for this
	// attempt: nothing that it does can be committed any more, so it should stop.
	ErrFenced = errors.New("fenced")
	// ErrAllBad: checkpoints exist and none can be read. Final: starting again
	// from step 0 would silently lose the run, so that is left to a person.
	ErrAllBad = errors.New("every checkpoint is bad")
	// ErrDamaged: a checkpoint cannot be read as it was written; trying again does not help.
	ErrDamaged = errors.New("damaged checkpoint")
	// ErrFormat: written by a version of the program that this one cannot read.
	ErrFormat = errors.New("unknown checkpoint format version")
)

// Owner says who holds a run, for people who look at HEAD.json.
type Owner struct {
	WorkflowID string `json:"workflow_id,omitempty"`
	RunID      string `json:"run_id,omitempty"`
	ActivityID string `json:"activity_id,omitempty"`
	Attempt    int    `json:"attempt,omitempty"`
	Host       string `json:"host,omitempty"`
	PID        int    `json:"pid,omitempty"`
}

// Meta is what a checkpoint holds besides arrays. Everything that the next
// step depends on is here or in the state.
type Meta struct {
	ConfigHash        string                     `json:"config_hash"`
	DatasetHash       string                     `json:"dataset_hash"`
	CodeVersion       string                     `json:"code_version"`
	WorldSize         int                        `json:"world_size"` // 0 is written as 1
	Seed              int64                      `json:"seed"`
	DataStep          int64                      `json:"data_step"` // batches consumed
	BatchSHA256       string                     `json:"ledger_sha256"`
	BestExactAccuracy float64                    `json:"best_exact_accuracy"` // of Evals
	BestStep          int64                      `json:"best_step"`           // 0: not evaluated yet
	Evals             []protocol.Eval            `json:"evals,omitempty"`
	Final             bool                       `json:"final,omitempty"` // the run is complete
	Extra             map[string]json.RawMessage `json:"extra,omitempty"`
}

// Snapshot is what Save stores. It must not change until Save returns.
type Snapshot struct {
	Step  int64 // training steps completed
	State tensor.State
	Meta  Meta
	// MetricsJSONL and TFEvents are what was logged since the snapshot before
	// this one; the writer stores them as new objects and lists all in the manifest.
	MetricsJSONL []byte
	TFEvents     []byte
	// Milestone keeps the checkpoint for ever.
	Milestone bool
	// Shards is the number of shards that the rows of the batch are computed in; with several, each has a file of its own.
	Shards int
	// Check, if it is set, sees the state before anything is written; its error is Save's.
	Check func(tensor.State) error
	// Ticket names the commit in advance; needed only when Meta.WorldSize > 1, see Writer.Begin.
	Ticket Ticket

	created time.Time // when Save began: a second try writes the same manifest
}

// Commit is a finished Save.
type Commit struct {
	ID          string // <step>-<term>-<nonce>
	Step        int64
	Term        int64 // fence term
	Entry       Entry
	Bytes       int64         // written
	StateSHA256 string        // of rank 0's state, with all shards
	Took        time.Duration // from the first write to HEAD
}

// Checkpoint is a restored commit. State belongs to the caller.
type Checkpoint struct {
	Step     int64
	Entry    Entry
	Manifest Manifest
	State    tensor.State
	Bytes    int64
	Took     time.Duration
	// Skipped are newer commits that could not be used, with the reason in Bad.
	Skipped []Entry
}

// Head is HEAD.json: the fence and the commits that belong to the run.
type Head struct {
	Format  int       `json:"format"`
	Term    int64     `json:"epoch"` // the fence; + 1 at every Acquire
	Lease   string    `json:"lease"` // random name of the acquisition
	Owner   Owner     `json:"owner"`
	Created time.Time `json:"created"` // first acquisition, by that writer's clock; for people and rates
	Commit  string    `json:"commit"`  // random name of the last change
	Entries []Entry   `json:"entries"` // oldest first
	// Forgotten is the term of the last Forget: what was committed up to it is no part of the run.
	Forgotten int64 `json:"forgotten,omitempty"`

	// Generation of the object that this was read from.
	Generation int64 `json:"-"`
}

// Entry points at one committed checkpoint.
type Entry struct {
	Step       int64    `json:"step"`
	Term       int64    `json:"epoch"`
	Manifest   string   `json:"manifest"` // key
	Generation int64    `json:"generation"`
	SHA256     string   `json:"sha256"`           // of the manifest file
	Metric     *float64 `json:"metric,omitempty"` // exact accuracy, if the step was evaluated
	Best       bool     `json:"best,omitempty"`
	Milestone  bool     `json:"milestone,omitempty"`
	Final      bool     `json:"final,omitempty"`
	Bad        string   `json:"bad,omitempty"` // why it cannot be restored
}

// Manifest is MANIFEST.json: everything about one checkpoint and a record of every file.
type Manifest struct {
	Format      int       `json:"format"`
	Commit      string    `json:"commit"`
	Parent      string    `json:"parent,omitempty"` // manifest key of the commit that this one continues
	Step        int64     `json:"step"`
	Term        int64     `json:"epoch"`
	Owner       Owner     `json:"owner"`
	Created     time.Time `json:"created"`
	Milestone   bool      `json:"milestone,omitempty"`
	Meta        Meta      `json:"meta"`
	StateSHA256 string    `json:"state_sha256"`     // tensor.State.SHA256 of rank 0's state, with all shards
	Shards      int       `json:"shards,omitempty"` // files of shards
	Files       []File    `json:"files"`
	Metrics     []Chunk   `json:"metrics,omitempty"`  // in order; concatenated they are the run's log
	TFEvents    []Chunk   `json:"tfevents,omitempty"` // in order
}

// KindState is the kind of a file with arrays. Readers check files of other kinds, and ignore them.
const KindState = "state"

// File is one object of a checkpoint.
type File struct {
	Name       string       `json:"name"` // within the checkpoint's folder
	Kind       string       `json:"kind"`
	Rank       int          `json:"rank,omitempty"`
	Shard      int          `json:"shard,omitempty"`
	Size       int64        `json:"size"`
	CRC32C     uint32       `json:"crc32c"`
	SHA256     string       `json:"sha256"`
	Generation int64        `json:"generation"`
	Tensors    []TensorInfo `json:"tensors,omitempty"`
}

// TensorInfo is one array of a state file.
type TensorInfo struct {
	Name  string       `json:"name"`
	DType tensor.DType `json:"dtype"`
	Shape []int        `json:"shape"`
}

// Chunk is one piece of an append-only log.
type Chunk struct {
	Key        string `json:"key"`
	Step       int64  `json:"step"` // last step that it covers
	Size       int64  `json:"size"`
	CRC32C     uint32 `json:"crc32c"`
	SHA256     string `json:"sha256"`
	Generation int64  `json:"generation"`
}
