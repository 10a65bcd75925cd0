package guard

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"
)

// errName says that a name would reach beyond the folder of the objects, or could be taken so.
var errName = errors.New("invalid name")

// CheckObject returns an error for object names that are not plain relative paths: an empty,
// "." or ".." part between slashes, a backslash, a control character, invalid UTF-8, more
// than 1024 bytes. It checks every layer of percent encoding, although no server is known
// to decode twice.
func CheckObject(name string) error {
	for layer := name; ; {
		if why := faultOfObject(layer); why != "" {
			return fmt.Errorf("%w of an object, %q: %s", errName, name, why)
		}
		next, err := url.PathUnescape(layer)
		if err != nil || next == layer {
			return nil
		}
		layer = next
	}
}

func faultOfObject(name string) string {
	if len(name) > 1024 {
		return "it is longer than 1024 bytes"
	}
	if !utf8.ValidString(name) {
		return "it is not UTF-8"
	}
	for _, r := range name {
		if r < ' ' || r == 0x7f || r == '\\' {
			return "it has a control character or a backslash"
		}
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part == "." || part == ".." {
			return "its slash-separated parts must not be empty, . or .."
		}
	}
	return ""
}

// https://cloud.google.com/storage/docs/buckets#naming
var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$`)

// CheckBucket returns an error for names that Google Cloud Storage does not allow for buckets.
func CheckBucket(name string) error {
	if !bucketName.MatchString(name) || strings.Contains(name, "..") {
		return fmt.Errorf("%w of a bucket, %q: want 3 or more lower-case letters, digits, dots, dashes and underscores, "+
			"no two dots in a row", errName, name)
	}
	return nil
}
