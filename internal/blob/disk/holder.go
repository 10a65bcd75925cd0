package disk

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// holder describes the process that has locked the file, as far as the system shows it.
func holder(f *os.File) string {
	const unknown = "another process"
	fi, err := f.Stat()
	if err != nil {
		return unknown
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return unknown
	}
	locks, err := os.ReadFile("/proc/locks")
	if err != nil {
		return unknown
	}
	dev := uint64(st.Dev) //nolint:unconvert // has another type on other systems
	pid := flockOwner(string(locks), fmt.Sprintf("%02x:%02x:%d", unix.Major(dev), unix.Minor(dev), st.Ino))
	if pid <= 0 {
		return unknown
	}
	if pid == os.Getpid() {
		return "this process itself"
	}
	return fmt.Sprintf("process %d%s", pid, describe(pid))
}

// flockOwner finds the owner of a file's lock (device:inode) in the text of /proc/locks,
// 0 if there is none. A line is "1: FLOCK  ADVISORY  WRITE 4242 fd:01:131090 0 EOF".
func flockOwner(locks, file string) int {
	for line := range strings.Lines(locks) {
		f := strings.Fields(line)
		if len(f) < 6 || f[1] != "FLOCK" || f[5] != file {
			continue // "->" in the second field marks a process that waits for the lock
		}
		pid, err := strconv.Atoi(f[4])
		if err == nil {
			return pid
		}
	}
	return 0
}

// describe returns the program of a process, and says if the process is stopped.
func describe(pid int) string {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	// The format is: pid (program) state ...; the program may contain spaces and parentheses.
	open, end := bytes.IndexByte(data, '('), bytes.LastIndexByte(data, ')')
	if open < 0 || end < open || end+2 >= len(data) {
		return ""
	}
	text := string(data[open+1 : end])
	if state := data[end+2]; state == 'T' || state == 't' {
		text += ", which is stopped"
	}
	return " (" + text + ")"
}
