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
		got := ""
		if err != nil {
			got = err.Error()
		}
		refused := got != ""
		if refused != (c.message != "") || !strings.Contains(got, c.message) {
			t.Errorf("%s: %q; want %q", name, got, c.message)
		}
	}
}
