package pjrt

import "fmt"

// The PJRT versions that go-xla v0.1.4 can speak to. It was built for 0.83.
//
// Within a major version only fields are added, at the end of the table and of
// the structs of arguments. So a newer plugin has all that go-xla calls; a call
// whose struct it needs longer than go-xla makes it is refused by that call with
// an error of its own. An older one lacks functions at the end of its table:
// those are replaced by an error. The one exception is 0.57, which rearranged
// the table: before it go-xla would call other functions than it means.
// 0.106, 0.115 and 0.117 were tried.
const (
	apiMajor    = 0
	apiMinor    = 83
	apiMinorMin = 57
)

// checkVersion refuses a plugin whose table go-xla would misread.
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
