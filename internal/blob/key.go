package blob

import (
	"errors"
	"fmt"
	"strings"
)

// ErrKey says that a key cannot name an object.
var ErrKey = errors.New("invalid object key")

// CheckKey returns ErrKey for keys that not every implementation can store: empty keys or
// parts, "." and "..", control characters, backslashes, keys of more than 1000 bytes.
func CheckKey(key string) error {
	bad := func(why string) error { return fmt.Errorf("%w %q: %s", ErrKey, key, why) }
	if key == "" {
		return bad("it is empty")
	}
	if len(key) > 1000 {
		return bad("it is longer than 1000 bytes")
	}
	for part := range strings.SplitSeq(key, "/") {
		switch {
		case part == "" || part == "." || part == "..":
			return bad("its slash-separated parts must not be empty, . or ..")
		case len(part) > 200:
			return bad("a part is longer than 200 bytes")
		}
	}
	for _, r := range key {
		if r < ' ' || r == 0x7f || r == '\\' {
			return bad("it has a control character or a backslash")
		}
	}
	return nil
}
