// Package tpu knows how processes share a TPU host: the variables that give libtpu a whole
// host or one chip of it, and the processes that use the chips. It opens no device. The
// variables are those that users of slices report; this project has not tried any of them
// on a TPU.
package tpu

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// AllChips, given as the number of a chip, means the whole host.
const AllChips = -1

// DefaultChips is the number of chips of a host in a v4 or v5p slice.
const DefaultChips = 4

// firstPort is libtpu's port for a process on chip 0. A process on chip k uses firstPort+k.
const firstPort = 8476

// Host is a machine that may have TPU chips.
type Host struct {
	// Root is the folder that contains dev, proc and tmp; empty = the root of this machine.
	Root string
}

func (h Host) path(elem ...string) string {
	return filepath.Join(append([]string{"/" + strings.TrimPrefix(h.Root, "/")}, elem...)...)
}

// Devices returns the device files of the host's chips in the order of their numbers:
// /dev/accel0... up to v4, /dev/vfio/0... on later ones. A host without a TPU has none,
// unless it passes other devices through VFIO.
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

// boundsOf maps the number of chips of a host to their layout, for the hosts that exist.
var boundsOf = map[int]string{1: "1,1,1", 4: "2,2,1", 8: "2,4,1"}

// Isolation returns the environment in which libtpu uses one chip of a host with this many
// chips, or AllChips, and waits for no other host. It is empty if no host has that number
// of chips.
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

// placing are the variables by which a user may assign the process to chips; the last three are older names.
var placing = []string{"TPU_PROCESS_BOUNDS", "TPU_CHIPS_PER_PROCESS_BOUNDS", "TPU_VISIBLE_CHIPS",
	"TPU_VISIBLE_DEVICES", "TPU_HOST_BOUNDS", "TPU_CHIPS_PER_HOST_BOUNDS"}

// Placed returns the variables of an environment that assign a process to chips, as
// NAME=VALUE. If the user has set any of them, no other must be added.
func Placed(lookup func(string) (string, bool)) []string {
	var set []string
	for _, name := range placing {
		if value, ok := lookup(name); ok {
			set = append(set, name+"="+value)
		}
	}
	return set
}

// VisibleChip returns the chip to which an environment restricts a process, or AllChips.
func VisibleChip(lookup func(string) (string, bool)) int {
	for _, name := range []string{"TPU_VISIBLE_CHIPS", "TPU_VISIBLE_DEVICES"} {
		value, _ := lookup(name)
		if chip, err := strconv.Atoi(strings.TrimSpace(value)); err == nil {
			return chip
		}
	}
	return AllChips
}

// Processes returns the number of processes that the bounds in an environment require: 8 for
// "2,2,2", 1 if there are no bounds or they cannot be parsed.
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

// Logging returns the environment in which libtpu writes warnings and errors to standard
// error, which is the run's log, and writes no files.
func Logging() []string {
	return []string{"TPU_STDERR_LOG_LEVEL=1", "TPU_MIN_LOG_LEVEL=1", "TPU_LOG_DIR=disabled"}
}

// Holder is a process that uses a chip or libtpu's lock file.
type Holder struct {
	PID     int
	Command string // command line, cut after 80 bytes; empty if the system does not show it
	File    string
}

func (p Holder) String() string {
	if p.Command == "" {
		return fmt.Sprintf("process %d holds %s", p.PID, p.File)
	}
	return fmt.Sprintf("process %d (%s) holds %s", p.PID, p.Command, p.File)
}
