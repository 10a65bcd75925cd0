package activities

import (
	"runtime/debug"
	"testing"
	"time"

	"go.temporal.io/sdk/testsuite"
)

// testEnvironment executes activities as a worker does. If a test takes much too long, a timer ends the tests with all
// stacks. The SDK's test timeout cannot do that: it is for workflows and local activities.
func testEnvironment(t *testing.T) *testsuite.TestActivityEnvironment {
	t.Helper()
	const most = 5 * time.Minute
	timer := time.AfterFunc(most, func() {
		debug.SetTraceback("all")
		panic(t.Name() + " still runs after " + most.String())
	})
	t.Cleanup(func() { timer.Stop() })
	var s testsuite.WorkflowTestSuite
	return s.NewTestActivityEnvironment()
}
