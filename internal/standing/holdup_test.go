package standing

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"google.golang.org/protobuf/types/known/timestamppb"

	"trmsweep/internal/protocol"
	"trmsweep/internal/study"
)

// The server knows that nobody has taken an activity, and that a user has paused it, whether it waits or still ends.
func TestHoldupOfPendingActivity(t *testing.T) {
	at := time.Date(2026, 11, 28, 9, 0, 0, 0, time.UTC)
	byUser := &workflowpb.PendingActivityInfo_PauseInfo{
		PauseTime: timestamppb.New(at),
		PausedBy: &workflowpb.PendingActivityInfo_PauseInfo_Manual_{
			Manual: &workflowpb.PendingActivityInfo_PauseInfo_Manual{Reason: "lunch"},
		},
	}
	paused := protocol.Holdup{Kind: protocol.HoldupActivityPaused, Since: at, Detail: "lunch"}
	for name, c := range map[string]struct {
		activity *workflowpb.PendingActivityInfo
		want     protocol.Holdup
	}{
		"running": {&workflowpb.PendingActivityInfo{State: enumspb.PENDING_ACTIVITY_STATE_STARTED}, protocol.Holdup{}},
		"waiting": {
			&workflowpb.PendingActivityInfo{State: enumspb.PENDING_ACTIVITY_STATE_SCHEDULED, ScheduledTime: timestamppb.New(at)},
			protocol.Holdup{Kind: protocol.HoldupNoSlot, Since: at},
		},
		"paused": {
			&workflowpb.PendingActivityInfo{State: enumspb.PENDING_ACTIVITY_STATE_PAUSED, Paused: true, PauseInfo: byUser},
			paused,
		},
		"paused while it runs": {
			&workflowpb.PendingActivityInfo{State: enumspb.PENDING_ACTIVITY_STATE_PAUSE_REQUESTED, Paused: true, PauseInfo: byUser},
			paused,
		},
		"paused by an older server": {
			&workflowpb.PendingActivityInfo{State: enumspb.PENDING_ACTIVITY_STATE_SCHEDULED, Paused: true},
			protocol.Holdup{Kind: protocol.HoldupActivityPaused},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(c.want, holdupOf(c.activity)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// A pending activity that nobody has taken means that the wait before it is over. What else the workflow knows of the reason stays.
func TestHoldupOfAnAttemptThatWaits(t *testing.T) {
	noSlot := protocol.Holdup{Kind: protocol.HoldupNoSlot}
	ofHost := protocol.Holdup{Kind: protocol.HoldupNoSlot, Detail: "of host-b, since attempts have failed elsewhere"}
	for name, c := range map[string]struct{ said, want protocol.Holdup }{
		"nothing was said":       {protocol.Holdup{}, noSlot},
		"the wait is over":       {protocol.Holdup{Kind: protocol.HoldupBackoff, Detail: "the next one comes after 10s"}, noSlot},
		"the workflow knows why": {ofHost, ofHost},
	} {
		t.Run(name, func(t *testing.T) {
			r := study.ExperimentResult{Status: study.StatusQueued, Holdup: c.said}
			Seen{Waits: true, Holdup: noSlot}.attempt(&r)
			if d := cmp.Diff(c.want, r.Holdup); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}
