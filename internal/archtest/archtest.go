// Package archtest holds no code: its tests enforce which packages each package of the
// project must not import. The rules stand once, in rules_test.go; .golangci.yml repeats
// them for the linter depguard, and a test keeps both equal.
//
//	go test ./internal/archtest/             # check the rules; takes less than two seconds once built
//	go test ./internal/archtest/ -update     # write the rules into .golangci.yml
package archtest
