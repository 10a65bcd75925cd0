// Package archtest holds no code: its tests enforce which packages each package of the
// project must not import. The rules stand once, in rules_test.go; .golangci.yml repeats
// them for the linter depguard, and a test keeps both equal. Other tests hold what linters
// do not know: keys of the store made in one place, code that reads one idea at a time,
// documents that name what exists.
//
//	go test ./internal/archtest/             # check the rules; takes less than two seconds once built
//	go test ./internal/archtest/ -update     # write the rules into .golangci.yml
package archtest
