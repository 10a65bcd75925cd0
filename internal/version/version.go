// Package version says which code this binary was built from. It is recorded in
// every manifest, result and workflow memo.
package version

import "runtime/debug"

// code is set by the Makefile: -ldflags "-X trmsweep/internal/version.code=<git describe>".
var code string

// Code names the commit: what the build passed in, else what the Go toolchain
// stamped, else "devel".
func Code() string {
	if code != "" {
		return code
	}
	if bi, ok := debug.ReadBuildInfo(); ok {
		rev, dirty := "", ""
		for _, s := range bi.Settings {
			switch s.Key {
			case "vcs.revision":
				rev = s.Value
			case "vcs.modified":
				if s.Value == "true" {
					dirty = "-dirty"
				}
			}
		}
		if rev != "" {
			return rev[:min(12, len(rev))] + dirty
		}
	}
	return "devel"
}
