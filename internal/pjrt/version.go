package pjrt

import "fmt"

// The PJRT versions that go-xla v0.1.4 can use. It was built for 0.83.
//
// Within a major version, fields are only added, at the end of the table and of the structs
// of arguments. So a newer plugin has all functions that go-xla calls; if such a function
// needs a longer struct than go-xla passes, it returns an error. An older plugin lacks
// functions at the end of its table: those are replaced by ones that return an error. The
// one exception is 0.57, which rearranged the table: with older plugins, go-xla would call
// the wrong functions. 0.106, 0.115 and 0.117 were tried.
const (
	apiMajor    = 0
	apiMinor    = 83
	apiMinorMin = 57
)

// checkVersion returns an error for a plugin whose table go-xla would misread.
func checkVersion(major, minor int) error {
	switch {
	case major != apiMajor:
		return fmt.Errorf("its PJRT API is %d.%d and this program speaks %d.%d: another major version is another interface; "+
			"install a plugin with PJRT API %d.%d or later",
			major, minor, apiMajor, apiMinor, apiMajor, apiMinorMin)
	case minor < apiMinorMin:
		return fmt.Errorf("its PJRT API %d.%d is too old: this program speaks %d.%d and can read tables from %d.%d on, which rearranged them; "+
			"install a newer plugin",
			major, minor, apiMajor, apiMinor, apiMajor, apiMinorMin)
	}
	return nil
}
