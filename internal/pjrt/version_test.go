package pjrt

import (
	"strings"
	"testing"
)

func TestCheckVersion(t *testing.T) {
	for name, c := range map[string]struct {
		major, minor int
		message      string
	}{
		"go-xla's own":       {0, 83, ""},
		"oldest":             {0, 57, ""},
		"newer":              {0, 117, ""},
		"before rearranging": {0, 56, "PJRT API 0.56 is too old"},
		"first":              {0, 0, "install a newer plugin"},
		"another major":      {1, 0, "its PJRT API is 1.0 and this program speaks 0.83"},
	} {
		err := checkVersion(c.major, c.minor)
		if (err == nil) != (c.message == "") || err != nil && !strings.Contains(err.Error(), c.message) {
			t.Errorf("%s: %v; want %q", name, err, c.message)
		}
	}
}
