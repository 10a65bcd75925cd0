//go:build race

package workflows_test

// raceEnabled says that tests run with the race detector, which makes them five to ten times slower.
const raceEnabled = true
