package preempt

import (
	"testing"
	"testing/fstest"
)

func TestOOMKills(t *testing.T) {
	files := func(pairs ...string) fstest.MapFS {
		m := fstest.MapFS{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
		}
		return m
	}
	const events = "low 0\nhigh 0\nmax 4\noom 3\noom_kill 2\noom_group_kill 0\n"
	for _, c := range []struct {
		name string
		fs   fstest.MapFS
		want int64
	}{
		{"version 2", files("proc/self/cgroup", "0::/a/b\n", "sys/fs/cgroup/a/b/memory.events", events, "proc/vmstat", "oom_kill 9\n"), 2},
		{"version 2 in a container", files("proc/self/cgroup", "0::/outside\n", "sys/fs/cgroup/memory.events", events), 2},
		{"version 1", files("proc/self/cgroup", "5:cpu:/x\n4:memory:/x/y\n0::/\n", "sys/fs/cgroup/memory/x/y/memory.oom_control",
			"oom_kill_disable 0\nunder_oom 0\noom_kill 7\n"), 7},
		{"a group that does not count", files("proc/self/cgroup", "4:memory:/x\n", "sys/fs/cgroup/memory/x/memory.oom_control", "under_oom 0\n",
			"proc/vmstat", "oom 1\noom_kill 9\n"), 9},
		{"no groups", files("proc/vmstat", "pgfault 3\noom_kill 0\n"), 0},
		{"nothing", files(), -1},
	} {
		if got := oomKills(c.fs); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}
