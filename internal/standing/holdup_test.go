package standing

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"google.golang.org/protobuf/types/known/timestamppb"

	"trmsweep/internal/protocol"
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
