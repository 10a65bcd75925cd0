// Package archtest holds no code: its test enforces which room of the house may
// not import what. The rules stand once in rules_test.go; .golangci.yml says the
// same to depguard, and the test keeps both equal.
//
//	go test ./internal/archtest/             # check; under two seconds once built
//	go test ./internal/archtest/ -update     # write .golangci.yml's rules anew
package archtest
