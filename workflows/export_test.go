package workflows

import "testing"

// SetRoundSize makes rounds smaller for one test. The test environment of the SDK keeps
// 1,000 callbacks at most and deadlocks, without a message, when its main loop adds another:
// 250 experiments that run at once come within ten of that.
func SetRoundSize(t *testing.T, n int) {
	before := roundSize
	roundSize = n
	t.Cleanup(func() { roundSize = before })
}
