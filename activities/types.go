package activities

import (
	"time"

	"trmsweep/internal/protocol"
	"trmsweep/internal/study"
)

// What experiments are and where they stand is declared in internal/study.
type (
	SweepInput = study.SweepInput
	Item       = study.Item
	Progress   = study.Progress
	RunStatus  = study.RunStatus
)

// PlanInput asks for the runs of a sweep.
type PlanInput struct {
	Names []string   `json:"names"` // sweeps, phases, experiments
	Input SweepInput `json:"input"`
	Sweep string     `json:"sweep"` // workflow id
	// SeedIDs names items by their seeds even if there is only one.
	SeedIDs bool `json:"seed_ids,omitempty"`
	// Faults were found before; Plan adds its own and fails.
	Faults []string `json:"faults,omitempty"`
}

// Plan is what a sweep will run, valid as a whole.
type Plan struct {
	Profile string `json:"profile"`
	Code    string `json:"code"` // version of the code that planned
	Items   []Item `json:"items"`
}

// TrainInput is one attempt at one run.
type TrainInput struct {
	Item    Item `json:"item"`
	Attempt int  `json:"attempt"`
	// Forget: no attempt has said yet that it has forgotten what the store has of the run.
	Forget bool `json:"forget,omitempty"`
	// Evaluations: the workflow decides by them and wants to be told of each.
	Evaluations bool `json:"evaluations,omitempty"`
	// Patience is how long the attempt waits for a slot of the host whose own queue it came by; 0 = it came by the shared queue, which
	// hands it out only where a slot is free.
	Patience time.Duration `json:"patience,omitempty"`
}

// TrainResult is an attempt that finished its run.
type TrainResult struct {
	Progress    Progress          `json:"progress"`
	Outcome     *protocol.Outcome `json:"outcome,omitempty"`
	StateSHA256 string            `json:"state_sha256"`
	BatchSHA256 string            `json:"ledger_sha256"`
}

// DatasetInput names the specs whose datasets must exist.
type DatasetInput struct {
	SpecKeys []string `json:"spec_keys"`
}

// DatasetResult lists the datasets, by content hash.
type DatasetResult struct {
	Hashes []string `json:"hashes"`
	Built  int      `json:"built"`
}

// ReportInput asks for the report over the items that are finished.
type ReportInput struct {
	Sweep      string                         `json:"sweep"`
	Items      []Item                         `json:"items"`
	Failures   map[string]string              `json:"failures,omitempty"` // item ID -> error
	Stopped    map[string]string              `json:"stopped,omitempty"`  // item ID -> why it was ended early
	Goodput    protocol.Goodput               `json:"goodput,omitempty"`
	Accounting map[string]protocol.Accounting `json:"accounting,omitempty"` // item ID -> where its slot's time went
	Final      bool                           `json:"final"`
	Ended      string                         `json:"ended,omitempty"` // how the sweep ended, unless with its last experiment: "was cancelled"
}

// ReportResult says where the report lies in the store.
type ReportResult struct {
	Keys []string `json:"keys"`
}
