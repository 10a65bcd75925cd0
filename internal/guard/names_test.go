package guard

import (
	"net/url"
	"path/filepath"
	"strings"
	"testing"
)

var badObjects = []string{
	"", ".", "..", "/", "/etc/passwd", "a/", "a//b", "a/./b", "a/../b", "../a", "a/..", "../../../outside/target",
	`..\a`, `a\..\..\b`, `C:\x`, "a\x00b", "a\nb", "a\x7f", "\xff", "%2e%2e/a", "a%2F..%2Fb", "%252e%252e%252fa", "a%2f", "a%00", "a%5C..",
	strings.Repeat("a", 1025),
}

var goodObjects = []string{"a", "a/b", "runs/0123-s42/HEAD.json", "...", "a..b", "..a", "a/..b/c..", ".hidden", "50%", "50%25", "100% sure",
	"ä/é", "a b", "a?b#c&d=e;f"}

func TestCheckObject(t *testing.T) {
	for _, name := range badObjects {
		if CheckObject(name) == nil {
			t.Errorf("%q was accepted", name)
		}
	}
	for _, name := range goodObjects {
		if err := CheckObject(name); err != nil {
			t.Error(err)
		}
	}
}

func TestCheckBucket(t *testing.T) {
	for _, name := range []string{
		"", ".", "..", "...", "a", "a/b", "../a", "a..b", "-ab", "Trmsweep", "a b", "a%2fb", "ab\n", "ä-bucket", "trmsweep.bucketMetadata",
	} {
		if CheckBucket(name) == nil {
			t.Errorf("%q was accepted", name)
		}
	}
	for _, name := range []string{"trmsweep", "my-bucket_1.example", "abc"} {
		if err := CheckBucket(name); err != nil {
			t.Error(err)
		}
	}
}

// FuzzName holds that a name which passes stays inside the folder it is joined to, decoded or not.
func FuzzName(f *testing.F) {
	for _, name := range append(badObjects, goodObjects...) {
		f.Add(name)
	}
	const root = "/state/gcs/bucket"
	f.Fuzz(func(t *testing.T, name string) {
		if CheckBucket(name) == nil && filepath.Dir(filepath.Join(root, name)) != root {
			t.Errorf("bucket %q lies elsewhere", name)
		}
		if CheckObject(name) != nil {
			return
		}
		for range 4 {
			if joined := filepath.Join(root, name); !strings.HasPrefix(joined, root+"/") || !filepath.IsLocal(name) {
				t.Fatalf("object %q lies at %s", name, joined)
			}
			if joined := filepath.Join(root, name); joined != root+"/"+name {
				t.Fatalf("object %q has another name on disk: %s", name, joined)
			}
			decoded, err := url.PathUnescape(name)
			if err != nil {
				return
			}
			name = decoded
		}
	})
}
