package workflows

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Actions of Updates and of the control signal.
const (
	ActionPause  = "pause" // checkpoint first
	ActionResume = "resume"
	ActionSkip   = "skip"
	ActionRetry  = "retry"
	ActionStop   = "stop" // after the running step: checkpoint and end
	// ActionPriority gives what has not begun another place in the hosts' queue.
	ActionPriority = "priority"
	// ActionAddSeeds adds experiments with more seeds; of sweeps.
	ActionAddSeeds = "add_seeds"
	// ActionExtend adds experiments that go on from the ends of others; of sweeps.
	ActionExtend = "extend"
)

var actions = []string{ActionPause, ActionResume, ActionSkip, ActionRetry, ActionStop, ActionPriority, ActionAddSeeds, ActionExtend}

// Control is a user's wish about a sweep or some of its experiments.
type Control struct {
	Action      string   `json:"action"`
	Experiments []string `json:"experiments,omitempty"` // of a sweep; none = all
	Priority    int      `json:"priority,omitempty"`    // 1 (first) to 5
	Seeds       []int64  `json:"seeds,omitempty"`       // to add
	Epochs      int      `json:"epochs,omitempty"`      // in all, of the extended experiment
	Reason      string   `json:"reason,omitempty"`      // where the sweep itself decided
}

// readControl decodes a control strictly: one with a misspelt list of experiments would reach all of them.
func readControl(raw json.RawMessage) (Control, error) {
	var c Control
	faults := read(raw, &c)
	if err := c.valid(); err != nil {
		faults = append(faults, err.Error())
	}
	if len(faults) > 0 {
		return c, errors.New(strings.Join(faults, "; "))
	}
	return c, nil
}

// valid finds all that is wrong with a control by itself.
func (c Control) valid() error {
	var faults []string
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	if !slices.Contains(actions, c.Action) {
		fault("unknown action %q (%s)", c.Action, strings.Join(actions, ", "))
	}
	if is := c.Action == ActionPriority; is && (c.Priority < 1 || c.Priority > 5) {
		fault("priority %d (1 first to 5 last)", c.Priority)
	} else if !is && c.Priority != 0 {
		fault("%s takes no priority", c.Action)
	}
	if is := c.Action == ActionAddSeeds; is && len(c.Seeds) == 0 {
		fault("add_seeds needs seeds")
	} else if !is && len(c.Seeds) > 0 {
		fault("%s takes no seeds", c.Action)
	}
	faults = append(faults, checkSeeds(c.Seeds)...)
	if is := c.Action == ActionExtend; is && (c.Epochs <= 0 || len(c.Experiments) == 0) {
		fault("extend needs experiments and their new number of epochs")
	} else if !is && c.Epochs != 0 {
		fault("%s takes no epochs", c.Action)
	}
	if len(faults) == 0 {
		return nil
	}
	return errors.New(strings.Join(faults, "; "))
}

// statusOf is the status that a wish gives an experiment that has not begun.
func statusOf(action, before string) string {
	switch action {
	case ActionSkip:
		return StatusSkipped
	case ActionStop:
		return StatusStopped
	case ActionPause:
		return StatusPaused
	case ActionResume, ActionRetry:
		return StatusQueued
	}
	return before
}
