package study

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"
)

// Limits of what an experiment bears between two new checkpoints.
const (
	// MaxFailures failures that are charged to an experiment end it.
	MaxFailures = 3
	// MaxKilledAlike attempts that are killed by the same signal at the same step, one after the other, end an
	// experiment: nobody outside kills like that, but a kernel that wants its memory back does.
	MaxKilledAlike = 20
	// HostPatience is how long the trouble of hosts is waited for when no host is without it.
	HostPatience = 10 * time.Minute
	// MaxBackoff is the longest wait between two attempts.
	MaxBackoff = 30 * time.Minute
)

// FailureKind says whose fault it was that an attempt failed.
type FailureKind string

// Kinds of failures. What is surely the experiment's own fault (its configuration, a loss that is not
// finite) ends it at once and is no Failure.
const (
	FailureUnknown   FailureKind = ""          // the host's or the experiment's
	FailureHost      FailureKind = "host"      // the host's, and may pass: its disk is full, its device is busy
	FailureUnfit     FailureKind = "unfit"     // the host's for good: it lacks the memory or the backend
	FailurePreempted FailureKind = "preempted" // nobody's: the host was lost or told to stop, the process was killed
)

// Failure is the end of an attempt that did not finish its run.
type Failure struct {
	Kind FailureKind
	Host string // name of the worker; empty if no worker has said that it began
	Step int64  // that the attempt had come to
	Why  string // what failed; of a preemption only how the process was killed, if it was
}

// LivingHost is a worker that asks the server for work.
type LivingHost struct {
	Name string `json:"name"`
	Idle bool   `json:"idle,omitempty"` // it has asked for a training attempt lately
}

// HostRecord is what an experiment remembers of a host where attempts have ended without success.
type HostRecord struct {
	Host     string `json:"host"`
	Failures int    `json:"failures"` // all
	// These are since the run's last new checkpoint.
	Row         int    `json:"row,omitempty"` // failures
	Preemptions int    `json:"preemptions,omitempty"`
	Unfit       bool   `json:"unfit,omitempty"`
	Why         string `json:"why,omitempty"` // the last failure
}

// bad says whether the run has failed on the host since its last new checkpoint.
func (h HostRecord) bad() bool { return h.Row > 0 }

// avoided says whether another host is tried before this one.
func (h HostRecord) avoided() bool { return h.Row > 0 || h.Preemptions > 0 }

// Judgement is what follows from a failure.
type Judgement struct {
	End  string        // why no further attempt is worth it; empty: there is one
	Wait time.Duration // before it
}

// Committed forgets what a run bore before its new checkpoint. That hosts have failed it is still known, not held against anybody.
func (r *ExperimentResult) Committed() {
	r.WithoutCommit = 0
	r.Failures = 0
	r.FirstFailure = time.Time{}
	r.KilledAlike = 0
	for i := range r.Hosts {
		h := &r.Hosts[i]
		h.Row = 0
		h.Preemptions = 0
		h.Unfit = false
	}
	r.Hosts = slices.DeleteFunc(r.Hosts, func(h HostRecord) bool { return h.Failures == 0 })
}

// Judge books a failure that came without a new checkpoint and says what follows. A host's own trouble, or
// what may be one, is charged to the experiment only when every living host has failed it.
//
//	kind       | another living host has not failed it | all living hosts have failed it
//	preempted  | after a backoff                       | after a backoff; no end but MaxKilledAlike
//	unknown    | at once, there                        | charged; MaxFailures end it
//	host       | at once, there                        | charged; MaxFailures end it after HostPatience
//	unfit      | at once, there                        | ends at once if all have said so; else as unknown
//
// r.WithoutCommit counts the attempt already.
func (r *ExperimentResult) Judge(f Failure, living []LivingHost, now time.Time, backoff time.Duration) Judgement {
	r.remember(f)
	wait := min(backoff<<min(r.WithoutCommit, 12), MaxBackoff)
	if f.Kind == FailurePreempted {
		return Judgement{End: r.killedTooOften(f), Wait: wait}
	}
	if r.untried(living) {
		return Judgement{}
	}
	r.Failures++
	if r.FirstFailure.IsZero() {
		r.FirstFailure = now
	}
	j := Judgement{Wait: wait}
	enough := r.Failures >= MaxFailures
	switch {
	case f.Kind == FailureUnfit && r.allUnfit(living):
		j.End = "no host that lives can run it"
	case f.Kind == FailureHost && now.Sub(r.FirstFailure) < HostPatience:
	case enough:
		j.End = fmt.Sprintf("%d failures since the last checkpoint", r.Failures)
	}
	return j
}

// remember books the failure at its host.
func (r *ExperimentResult) remember(f Failure) {
	if f.Host == "" {
		return
	}
	i := slices.IndexFunc(r.Hosts, func(h HostRecord) bool { return h.Host == f.Host })
	if i < 0 {
		i = len(r.Hosts)
		r.Hosts = append(r.Hosts, HostRecord{Host: f.Host})
	}
	h := &r.Hosts[i]
	if f.Kind == FailurePreempted {
		h.Preemptions++
		return
	}
	h.Failures++
	h.Row++
	h.Unfit = h.Unfit || f.Kind == FailureUnfit
	h.Why = fmt.Sprintf("%.300s", f.Why)
}

// killedTooOften counts attempts in a row that were killed in the same way at the same step, and
// says why they end the experiment when there are too many. Killed is the way; it is empty for other preemptions.
func (r *ExperimentResult) killedTooOften(f Failure) string {
	if f.Why == "" {
		r.KilledAlike = 0
		return ""
	}
	alike := f.Why == r.Killed && f.Step == r.KilledStep
	if !alike {
		r.KilledAlike = 0
	}
	r.KilledAlike++
	r.Killed = f.Why
	r.KilledStep = f.Step
	if r.KilledAlike < MaxKilledAlike {
		return ""
	}
	return fmt.Sprintf("%s at step %d, %d times in a row on %d hosts: if nobody did that, the machines may lack memory "+
		"(the log of their kernels says so); a smaller global_batch_size needs less", f.Why, f.Step, r.KilledAlike, max(len(r.Hosts), 1))
}

// record is what is known of a host.
func (r *ExperimentResult) record(host string) HostRecord {
	for _, h := range r.Hosts {
		if h.Host == host {
			return h
		}
	}
	return HostRecord{Host: host}
}

// untried says whether a living host has not failed the run since its last new checkpoint.
func (r *ExperimentResult) untried(living []LivingHost) bool {
	return slices.ContainsFunc(living, func(l LivingHost) bool { return !r.record(l.Name).bad() })
}

func (r *ExperimentResult) allUnfit(living []LivingHost) bool {
	return !slices.ContainsFunc(living, func(l LivingHost) bool { return !r.record(l.Name).Unfit })
}

// Avoids says whether there is a host that the next attempt should not go to while another lives.
func (r *ExperimentResult) Avoids() bool { return slices.ContainsFunc(r.Hosts, HostRecord.avoided) }

// NextHost is the host for the next attempt, or nothing if any will do. The fewer failures, the fewer times it was
// asked in vain (asked, since the last attempt), and the fewer preemptions a host has, the better; idle hosts come before
// busy ones. What is equal then is taken in an order of the run's own, so that not all runs go to the same host.
func (r *ExperimentResult) NextHost(living []LivingHost, asked []string) string {
	if len(living) < 2 || !r.Avoids() {
		return ""
	}
	type candidate struct {
		LivingHost
		HostRecord
		asked int
		order uint64
	}
	var all []candidate
	for _, l := range living {
		c := candidate{LivingHost: l, HostRecord: r.record(l.Name)}
		for _, name := range asked {
			if name == l.Name {
				c.asked++
			}
		}
		h := fnv.New64a()
		_, _ = h.Write([]byte(r.Item.Run + " " + l.Name))
		c.order = h.Sum64()
		all = append(all, c)
	}
	best := slices.MinFunc(all, func(a, b candidate) int {
		return cmp.Or(
			rank(a.Unfit, b.Unfit),
			cmp.Compare(a.Row, b.Row),
			cmp.Compare(a.asked, b.asked),
			cmp.Compare(a.Preemptions, b.Preemptions),
			rank(!a.Idle, !b.Idle),
			cmp.Compare(a.order, b.order),
		)
	})
	return best.Name
}

// rank puts what is false first.
func rank(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// HostNotes names the hosts on which attempts of these experiments have failed, the worst first.
func HostNotes(rows []ExperimentResult) []string {
	type sick struct {
		HostRecord
		experiments int
	}
	var all []*sick
	for i := range rows {
		if rows[i].Item.SameAs != "" {
			continue
		}
		for _, h := range rows[i].Hosts {
			if h.Failures == 0 {
				continue
			}
			j := slices.IndexFunc(all, func(s *sick) bool { return s.Host == h.Host })
			if j < 0 {
				all = append(all, &sick{HostRecord: HostRecord{Host: h.Host}})
				j = len(all) - 1
			}
			all[j].Failures += h.Failures
			all[j].experiments++
			all[j].Why = h.Why
		}
	}
	slices.SortStableFunc(all, func(a, b *sick) int { return cmp.Compare(b.Failures, a.Failures) })
	var notes []string
	for _, s := range all {
		notes = append(notes, fmt.Sprintf("host %s: %s of %s failed there; the last: %s", s.Host,
			count(s.Failures, "attempt"), count(s.experiments, "experiment"), strings.ReplaceAll(s.Why, "\n", " ")))
	}
	return notes
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
