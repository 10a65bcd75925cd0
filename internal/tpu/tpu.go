// Package tpu knows what a TPU host asks of a process: which variables give
// libtpu a whole host or one chip of it, and who holds the chips. It opens no
// device. The variables are those that users of slices report; none of them has
// been tried on a TPU by this project.
package tpu

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// AllChips stands for the whole host where a chip is asked for.
const AllChips = -1

// DefaultChips is how many chips a host of a v4 or v5p slice has.
const DefaultChips = 4

// firstPort is libtpu's port for a process on chip 0; the one on chip k takes firstPort+k.
const firstPort = 8476

// Host is a machine that may have TPU chips.
type Host struct {
	// Root is the folder that holds dev, proc and tmp; empty = the machine's own.
	Root string
}

func (h Host) path(elem ...string) string {
	return filepath.Join(append([]string{"/" + strings.TrimPrefix(h.Root, "/")}, elem...)...)
}

// Devices are the device files of the host's chips, in the order of their
// numbers: /dev/accel0... up to v4, /dev/vfio/0... on later ones. A host without
// a TPU has none, unless it gives other devices away through VFIO.
func (h Host) Devices() []string {
	for _, pattern := range []string{h.path("dev", "accel[0-9]*"), h.path("dev", "vfio", "[0-9]*")} {
		found, _ := filepath.Glob(pattern)
		if len(found) > 0 {
			slices.SortFunc(found, func(a, b string) int { return number(a) - number(b) })
			return found
		}
	}
	return nil
}

func number(file string) int {
	digits := strings.TrimPrefix(filepath.Base(file), "accel")
	n, _ := strconv.Atoi(digits)
	return n
}

// boundsOf is how the chips of a host are laid out, for the hosts that there are.
var boundsOf = map[int]string{1: "1,1,1", 4: "2,2,1", 8: "2,4,1"}

// Isolation is the environment in which libtpu takes chip number chip of a host
// of so many chips, or AllChips, and waits for no other host. It is empty for a
// number of chips that no host has.
func Isolation(chips, chip int) []string {
	bounds, ok := boundsOf[chips]
	if !ok || chip >= chips {
		return nil
	}
	if chip == AllChips {
		return []string{"TPU_PROCESS_BOUNDS=1,1,1", "TPU_CHIPS_PER_PROCESS_BOUNDS=" + bounds, "TPU_VISIBLE_CHIPS=" + upTo(chips)}
	}
	port := strconv.Itoa(firstPort + chip)
	return []string{"TPU_PROCESS_BOUNDS=1,1,1", "TPU_CHIPS_PER_PROCESS_BOUNDS=1,1,1", "TPU_VISIBLE_CHIPS=" + strconv.Itoa(chip),
		"TPU_PROCESS_ADDRESSES=localhost:" + port, "TPU_PROCESS_PORT=" + port, "CLOUD_TPU_TASK_ID=0"}
}

func upTo(n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = strconv.Itoa(i)
	}
	return strings.Join(all, ",")
}

// placing are the variables by which a user may have placed the process; the last three are older names.
var placing = []string{"TPU_PROCESS_BOUNDS", "TPU_CHIPS_PER_PROCESS_BOUNDS", "TPU_VISIBLE_CHIPS",
	"TPU_VISIBLE_DEVICES", "TPU_HOST_BOUNDS", "TPU_CHIPS_PER_HOST_BOUNDS"}

// Placed lists the variables of an environment that place a process, as NAME=VALUE.
// One who has set any of them has decided: nothing may be added to it.
func Placed(lookup func(string) (string, bool)) []string {
	var set []string
	for _, name := range placing {
		if value, ok := lookup(name); ok {
			set = append(set, name+"="+value)
		}
	}
	return set
}

// VisibleChip is the chip to which an environment confines a process, or AllChips.
func VisibleChip(lookup func(string) (string, bool)) int {
	for _, name := range []string{"TPU_VISIBLE_CHIPS", "TPU_VISIBLE_DEVICES"} {
		value, _ := lookup(name)
		if chip, err := strconv.Atoi(strings.TrimSpace(value)); err == nil {
			return chip
		}
	}
	return AllChips
}

// Processes is the number of processes that a placement's bounds ask for: 8 for
// "2,2,2", 1 where nothing is said or the value cannot be read.
func Processes(lookup func(string) (string, bool)) int {
	for _, name := range []string{"TPU_PROCESS_BOUNDS", "TPU_HOST_BOUNDS"} {
		value, ok := lookup(name)
		if !ok {
			continue
		}
		n := 1
		for part := range strings.SplitSeq(value, ",") {
			side, err := strconv.Atoi(strings.TrimSpace(part))
			if err != nil || side < 1 {
				return 1
			}
			n *= side
		}
		return n
	}
	return 1
}

// Logging is the environment in which libtpu writes warnings and errors to
// standard error, which is the run's log, and no files of its own.
func Logging() []string {
	return []string{"TPU_STDERR_LOG_LEVEL=1", "TPU_MIN_LOG_LEVEL=1", "TPU_LOG_DIR=disabled"}
}

// Holder is a process that holds a chip, or libtpu's lock file.
type Holder struct {
	PID     int
	Command string // its command line, cut after 80 bytes; empty where the system does not say
	File    string
}

func (p Holder) String() string {
	if p.Command == "" {
		return fmt.Sprintf("process %d holds %s", p.PID, p.File)
	}
	return fmt.Sprintf("process %d (%s) holds %s", p.PID, p.Command, p.File)
}
