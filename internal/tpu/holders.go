package tpu

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// LockFile returns the path of the file that libtpu locks while a process uses a whole host.
// The lock ends with its process, but the file may remain.
func (h Host) LockFile() string { return h.path("tmp", "libtpu_lockfile") }

// Holders returns the processes, other than this one, that use a chip (AllChips: any chip, or
// libtpu's lock file). Only root can see the processes of other users: an empty result
// does not prove that a chip is free.
func (h Host) Holders(chip int) []Holder {
	files := h.Devices()
	if chip != AllChips {
		files = slices.DeleteFunc(files, func(file string) bool { return number(file) != chip })
	}
	var found []Holder
	for _, pid := range h.processes() {
		if pid == os.Getpid() {
			continue
		}
		for _, file := range h.opened(pid) {
			if slices.Contains(files, file) {
				found = append(found, Holder{PID: pid, Command: h.command(pid), File: file})
				break
			}
		}
	}
	if pid := h.lockHolder(); chip == AllChips && pid != 0 && pid != os.Getpid() {
		found = append(found, Holder{PID: pid, Command: h.command(pid), File: h.LockFile()})
	}
	return found
}

func (h Host) processes() []int {
	dirs, _ := filepath.Glob(h.path("proc", "[0-9]*"))
	var pids []int
	for _, dir := range dirs {
		if pid, err := strconv.Atoi(filepath.Base(dir)); err == nil {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}

// opened returns the files that a process has open, as far as this process may see them.
func (h Host) opened(pid int) []string {
	dir := h.path("proc", strconv.Itoa(pid), "fd")
	entries, _ := os.ReadDir(dir)
	var files []string
	for _, e := range entries {
		if target, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil {
			files = append(files, target)
		}
	}
	return files
}

func (h Host) command(pid int) string {
	data, _ := os.ReadFile(h.path("proc", strconv.Itoa(pid), "cmdline"))
	text := strings.TrimSpace(strings.ReplaceAll(string(data), "\x00", " "))
	return strings.ToValidUTF8(text[:min(len(text), 80)], "")
}

// lockHolder returns the process that has locked libtpu's file, 0 if there is none.
func (h Host) lockHolder() int {
	var st syscall.Stat_t
	if err := syscall.Stat(h.LockFile(), &st); err != nil {
		return 0
	}
	f, err := os.Open(h.path("proc", "locks"))
	if err != nil {
		return 0
	}
	defer f.Close()
	inode := ":" + strconv.FormatUint(st.Ino, 10)
	lines := bufio.NewScanner(f)
	for lines.Scan() { // "1: POSIX  ADVISORY  WRITE 1234 08:01:5678 0 EOF"
		fields := strings.Fields(lines.Text())
		if len(fields) < 6 || !strings.HasSuffix(fields[5], inode) {
			continue
		}
		if pid, err := strconv.Atoi(fields[4]); err == nil && pid > 0 {
			return pid
		}
	}
	return 0
}

// ForgetStaleLock removes libtpu's lock file if no process has locked it, and says whether it
// did. If this user may not remove the file, the error says what to do. A missing file is
// not an error.
func (h Host) ForgetStaleLock() (bool, error) {
	file := h.LockFile()
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("libtpu's lock file cannot be opened: %w; if no process uses the TPU, remove it: sudo rm %s", err, file)
	}
	defer f.Close()
	// The file is removed while it is locked, so that a process that is about to lock it fails and tries again.
	lock := syscall.Flock_t{Type: syscall.F_WRLCK}
	if err := syscall.FcntlFlock(f.Fd(), syscall.F_SETLK, &lock); err != nil {
		return false, nil //nolint:nilerr // another process has it
	}
	if err := os.Remove(file); err != nil {
		return false, fmt.Errorf("libtpu's lock file of a process that has ended: %w; remove it: sudo rm %s", err, file)
	}
	return true, nil
}
