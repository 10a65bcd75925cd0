package study

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func lives(names ...string) []LivingHost {
	var out []LivingHost
	for _, name := range names {
		out = append(out, LivingHost{Name: name})
	}
	return out
}

// What failures of one run mean, one after the other, a minute apart and without a new checkpoint.
func TestJudge(t *testing.T) {
	type want struct {
		Charged int
		Ends    string // a part of why; empty: it goes on
		Waits   bool
		Next    string // host
	}
	fails := func(kind FailureKind, hosts ...string) []Failure {
		var all []Failure
		for _, h := range hosts {
			all = append(all, Failure{Kind: kind, Host: h, Why: "it broke"})
		}
		return all
	}
	killed := func(n int, step int64) []Failure {
		var all []Failure
		for i := range n {
			all = append(all, Failure{Kind: FailurePreempted, Host: "ab"[i%2 : i%2+1], Step: step, Why: "killed by SIGKILL"})
		}
		return all
	}
	for name, c := range map[string]struct {
		living   []LivingHost
		failures []Failure
		want     want
	}{
		"one of two hosts":        {lives("a", "b"), fails(FailureHost, "a"), want{Next: "b"}},
		"one of two, three times": {lives("a", "b"), fails(FailureHost, "a", "a", "a"), want{Next: "b"}},
		"unknown, one of two":     {lives("a", "b"), fails(FailureUnknown, "a"), want{Next: "b"}},
		"unknown, both": {lives("a", "b"), fails(FailureUnknown, "a", "b"),
			want{Charged: 1, Waits: true, Next: "a"}},
		"unknown, both, and again": {lives("a", "b"), fails(FailureUnknown, "a", "b", "a", "b"),
			want{Charged: 3, Ends: "3 failures", Waits: true, Next: "a"}},
		"the only host": {lives("a"), fails(FailureUnknown, "a", "a"), want{Charged: 2, Waits: true}},
		"the only host, too often": {lives("a"), fails(FailureUnknown, "a", "a", "a"),
			want{Charged: 3, Ends: "3 failures", Waits: true}},
		"nobody knows who lives": {nil, fails(FailureUnknown, "a", "a", "a"),
			want{Charged: 3, Ends: "3 failures", Waits: true}},
		"disk full, the only host": {lives("a"), fails(FailureHost, "a", "a", "a", "a"), want{Charged: 4, Waits: true}},
		"disk full for ten minutes": {lives("a"), fails(FailureHost, strings.Split(strings.Repeat("a", 11), "")...),
			want{Charged: 11, Ends: "11 failures", Waits: true}},
		"unfit, the only host": {lives("a"), fails(FailureUnfit, "a"), want{Charged: 1, Ends: "no host", Waits: true}},
		"unfit, one of two":    {lives("a", "b"), fails(FailureUnfit, "a"), want{Next: "b"}},
		"unfit, both": {lives("a", "b"), fails(FailureUnfit, "a", "b"),
			want{Charged: 1, Ends: "no host", Waits: true, Next: "a"}},
		"one is unfit, the other has trouble": {lives("a", "b"), append(fails(FailureUnfit, "a"), fails(FailureHost, "b", "b")...),
			want{Charged: 2, Waits: true, Next: "b"}},
		"the bad host is gone":        {lives("b", "c"), fails(FailureUnknown, "a"), want{Next: "b"}},
		"the last other host is gone": {lives("a"), fails(FailureUnknown, "b", "a"), want{Charged: 1, Waits: true}},
		"preempted many times": {lives("a", "b"), fails(FailurePreempted, strings.Split(strings.Repeat("a", 19), "")...),
			want{Waits: true, Next: "b"}},
		"preempted everywhere": {lives("a", "b"), killed(6, 0), want{Waits: true, Next: "a"}},
		"host lost, nobody says which": {lives("a", "b"), []Failure{{Kind: FailurePreempted}, {Kind: FailurePreempted}},
			want{Waits: true}},
		"killed alike for a day": {lives("a", "b"), killed(MaxKilledAlike, 7),
			want{Ends: "at step 7, 20 times in a row on 2 hosts", Waits: true, Next: "a"}},
		"killed at different steps": {lives("a", "b"), append(killed(MaxKilledAlike-1, 7), killed(MaxKilledAlike-1, 8)...),
			want{Waits: true, Next: "b"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := ExperimentResult{}
			now := time.Unix(1e9, 0)
			var j Judgement
			for _, f := range c.failures {
				r.WithoutCommit++
				j = r.Judge(f, c.living, now, 5*time.Second)
				now = now.Add(time.Minute)
			}
			got := want{Charged: r.Failures, Waits: j.Wait > 0, Next: r.NextHost(c.living, nil)}
			if j.End != "" && c.want.Ends != "" && strings.Contains(j.End, c.want.Ends) {
				got.Ends = c.want.Ends
			} else {
				got.Ends = j.End
			}
			if len(r.Hosts) > 1 || c.want.Next != "" { // hosts that are equal come in an order of the run's own
				got.Next = equalHost(&r, c.living, got.Next, c.want.Next)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("judgement (-want +got):\n%s\nhosts %+v", diff, r.Hosts)
			}
		})
	}
}

// equalHost is want if it is as good as got.
func equalHost(r *ExperimentResult, living []LivingHost, got, want string) string {
	a, b := r.record(got), r.record(want)
	if got != "" && want != "" && a.Row == b.Row && a.Preemptions == b.Preemptions && a.Unfit == b.Unfit {
		return want
	}
	return got
}

// The wait between attempts grows, up to its bound.
func TestBackoffGrows(t *testing.T) {
	r := ExperimentResult{}
	last := time.Duration(0)
	for range 40 {
		r.WithoutCommit++
		j := r.Judge(Failure{Kind: FailurePreempted, Host: "a"}, lives("a"), time.Unix(1e9, 0), 5*time.Second)
		if j.Wait < last || j.Wait > MaxBackoff || j.End != "" {
			t.Fatalf("attempt %d: %+v after a wait of %s", r.WithoutCommit, j, last)
		}
		last = j.Wait
	}
	if last != MaxBackoff {
		t.Errorf("the wait grows to %s, want %s", last, MaxBackoff)
	}
}

// A new checkpoint sets everything back that is held against the run, and keeps what hosts have done.
func TestCommittedForgets(t *testing.T) {
	r := ExperimentResult{}
	for _, f := range []Failure{{Kind: FailureUnknown, Host: "a", Why: "x"}, {Kind: FailurePreempted, Host: "b"}} {
		r.WithoutCommit++
		r.Judge(f, lives("a"), time.Unix(1e9, 0), time.Second)
	}
	r.Committed()
	want := ExperimentResult{Hosts: []HostRecord{{Host: "a", Failures: 1, Why: "x"}}}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if next := r.NextHost(lives("a", "b"), nil); next != "" {
		t.Errorf("it still avoids a host and goes to %q", next)
	}
}

// Which of several hosts is next.
func TestNextHost(t *testing.T) {
	sick := []HostRecord{{Host: "a", Failures: 1, Row: 1}}
	for name, c := range map[string]struct {
		hosts  []HostRecord
		living []LivingHost
		asked  []string
		want   string
	}{
		"nothing has failed": {nil, lives("a", "b"), nil, ""},
		"it is alone":        {sick, lives("a"), nil, ""},
		"the idle one": {sick, []LivingHost{{Name: "a", Idle: true}, {Name: "b"}, {Name: "c", Idle: true}, {Name: "d"}},
			nil, "c"},
		"not the one asked in vain":     {sick, lives("a", "b", "c"), []string{"b"}, "c"},
		"again when all were asked":     {sick, lives("a", "b", "c"), []string{"b", "c", "c"}, "b"},
		"a sick one is not asked first": {sick, []LivingHost{{Name: "a", Idle: true}, {Name: "b"}}, []string{"b", "b"}, "b"},
		"one that was only preempted":   {[]HostRecord{{Host: "a", Row: 2}, {Host: "b", Preemptions: 3}}, lives("a", "b"), nil, "b"},
		"unfit comes last": {[]HostRecord{{Host: "a", Row: 1, Unfit: true}, {Host: "b", Row: 9}}, lives("a", "b"),
			nil, "b"},
	} {
		r := ExperimentResult{Hosts: c.hosts}
		if got := r.NextHost(c.living, c.asked); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestHostNotes(t *testing.T) {
	rows := []ExperimentResult{
		{Hosts: []HostRecord{{Host: "vm:/a", Failures: 1, Why: "disk full"}, {Host: "vm:/b", Preemptions: 4}}},
		{Hosts: []HostRecord{{Host: "vm:/a", Failures: 2, Why: "disk\nfull"}, {Host: "vm:/c", Failures: 1, Why: "no plugin"}}},
		{Item: Item{SameAs: "x"}, Hosts: []HostRecord{{Host: "vm:/c", Failures: 1, Why: "no plugin"}}},
	}
	want := []string{
		"host vm:/a: 3 attempts of 2 experiments failed there; the last: disk full",
		"host vm:/c: 1 attempt of 1 experiment failed there; the last: no plugin",
	}
	if diff := cmp.Diff(want, HostNotes(rows)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
