package protocol

import (
	"strings"
	"testing"
)

// A long error is cut where a reader sees that it is.
func TestSentenceOfALongError(t *testing.T) {
	for name, c := range map[string]struct{ detail, want string }{
		"it fits":     {strings.Repeat("é", 300), strings.Repeat("é", 300)},
		"it does not": {strings.Repeat("é", 301), strings.Repeat("é", 299) + "…"},
	} {
		t.Run(name, func(t *testing.T) {
			h := Holdup{Kind: "of a later version", Detail: c.detail}
			if got := h.String(); got != "of a later version: "+c.want {
				t.Errorf("%s", got)
			}
		})
	}
}
