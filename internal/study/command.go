package study

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Actions of commands.
const (
	ActionPause  = "pause" // saves a checkpoint first
	ActionResume = "resume"
	ActionSkip   = "skip"
	ActionRetry  = "retry"
	ActionStop   = "stop" // saves a checkpoint after the running step and ends
	// ActionPriority gives an experiment that waits another place in the hosts' queue.
	ActionPriority = "priority"
	// ActionAddSeeds adds experiments with more seeds to a sweep.
	ActionAddSeeds = "add_seeds"
	// ActionExtend adds experiments to a sweep that go on from the ends of others.
	ActionExtend = "extend"
)

var actions = []string{ActionPause, ActionResume, ActionSkip, ActionRetry, ActionStop, ActionPriority, ActionAddSeeds, ActionExtend}

// Command is what a user, or a sweep that stops an experiment early, wants of experiments.
type Command struct {
	Action      string   `json:"action"`
	Experiments []string `json:"experiments,omitempty"` // of a sweep; none = all
	Priority    int      `json:"priority,omitempty"`    // 1 (first) to 5
	Seeds       []int64  `json:"seeds,omitempty"`       // to add
	Epochs      int      `json:"epochs,omitempty"`      // in all, of the extended experiment
	Reason      string   `json:"reason,omitempty"`      // if the sweep itself decided
}

// DecodeCommand decodes a command strictly: one with a misspelt list of experiments would reach all of them.
func DecodeCommand(raw json.RawMessage) (Command, error) {
	var c Command
	faults := DecodeStrict(raw, &c)
	if err := c.Validate(); err != nil {
		faults = append(faults, err.Error())
	}
	if len(faults) > 0 {
		return c, errors.New(strings.Join(faults, "; "))
	}
	return c, nil
}

// Validate finds everything that is wrong with a command by itself.
func (c Command) Validate() error {
	var faults []string
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	if !slices.Contains(actions, c.Action) {
		fault("unknown action %q (%s)", c.Action, strings.Join(actions, ", "))
	}
	switch {
	case c.Action != ActionPriority && c.Priority != 0:
		fault("%s takes no priority", c.Action)
	case c.Action != ActionPriority:
	case c.Priority < 1, c.Priority > 5:
		fault("priority %d (1 first to 5 last)", c.Priority)
	}
	switch {
	case c.Action != ActionAddSeeds && len(c.Seeds) > 0:
		fault("%s takes no seeds", c.Action)
	case c.Action == ActionAddSeeds && len(c.Seeds) == 0:
		fault("add_seeds needs seeds")
	}
	faults = append(faults, seedFaults(c.Seeds)...)
	switch {
	case c.Action != ActionExtend && c.Epochs != 0:
		fault("%s takes no epochs", c.Action)
	case c.Action != ActionExtend:
	case c.Epochs <= 0, len(c.Experiments) == 0:
		fault("extend needs experiments and their new number of epochs")
	}
	if len(faults) == 0 {
		return nil
	}
	return errors.New(strings.Join(faults, "; "))
}

// ForExperiment says why an experiment cannot do what a command wants of it; nil if it can.
func (c Command) ForExperiment(r ExperimentResult, paused bool) error {
	named := len(c.Experiments) == 0
	if len(c.Experiments) == 1 {
		named = c.Experiments[0] == r.Item.ID || c.Experiments[0] == r.Item.Experiment
	}
	switch {
	case c.Action == ActionAddSeeds, c.Action == ActionExtend:
		return fmt.Errorf("%s is for sweeps", c.Action)
	case !named:
		return fmt.Errorf("this is %s, not %s", r.Item.ID, strings.Join(c.Experiments, ", "))
	case c.Action == ActionResume && !paused:
		return fmt.Errorf("it is %s, not paused", r.Status)
	}
	return nil
}

// StatusBeforeStart is the status that a command gives an experiment that has not begun.
func (c Command) StatusBeforeStart(status string) string {
	switch c.Action {
	case ActionSkip:
		return StatusSkipped
	case ActionStop:
		return StatusStopped
	case ActionPause:
		return StatusPaused
	case ActionResume, ActionRetry:
		return StatusQueued
	}
	return status
}
