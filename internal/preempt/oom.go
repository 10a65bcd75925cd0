package preempt

import (
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
)

// OOMKills counts the processes that the kernel has killed for lack of memory:
// those of this process's control group, or of the whole machine where the group
// does not tell. The count only grows. -1: this system does not say.
func OOMKills() int64 { return oomKills(os.DirFS("/")) }

func oomKills(root fs.FS) int64 {
	for _, file := range append(memoryGroups(root), "proc/vmstat") {
		text, err := fs.ReadFile(root, file)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); len(f) == 2 && f[0] == "oom_kill" {
				if n, err := strconv.ParseInt(f[1], 10, 64); err == nil {
					return n
				}
			}
		}
	}
	return -1
}

// memoryGroups are the files in which this process's control group may count, of
// version 2 and 1. Inside a container the group's path may be the one outside.
func memoryGroups(root fs.FS) (files []string) {
	text, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return nil
	}
	for line := range strings.Lines(strings.TrimSpace(string(text))) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3) // id:controllers:path
		if len(f) != 3 {
			continue
		}
		switch {
		case f[0] == "0" && f[1] == "":
			files = append(files, path.Join("sys/fs/cgroup", f[2], "memory.events"), "sys/fs/cgroup/memory.events")
		case f[1] == "memory":
			files = append(files, path.Join("sys/fs/cgroup/memory", f[2], "memory.oom_control"), "sys/fs/cgroup/memory/memory.oom_control")
		}
	}
	return files
}
