package activities

import (
	"runtime/debug"
	"testing"
	"time"

	"go.temporal.io/sdk/testsuite"
)

// testEnvironment executes activities as a worker does. The SDK's test timeout only ends the activity's context, after
// a minute here instead of 3 s. If an activity goes on nevertheless, a timer ends the tests with all stacks.
func testEnvironment(t *testing.T) *testsuite.TestActivityEnvironment {
	t.Helper()
	const most = 5 * time.Minute
	timer := time.AfterFunc(most, func() {
		debug.SetTraceback("all")
		panic(t.Name() + " still runs after " + most.String())
	})
	t.Cleanup(func() { timer.Stop() })
	var s testsuite.WorkflowTestSuite
	env := s.NewTestActivityEnvironment()
	env.SetTestTimeout(time.Minute)
	return env
}
