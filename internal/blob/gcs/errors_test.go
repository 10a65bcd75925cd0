package gcs

import (
	"errors"
	"strings"
	"testing"

	"cloud.google.com/go/storage"
)

// A copy of the emulator's folder without extended attributes has objects and no bucket: the message names the cause.
func TestMissingBucketSaysWhy(t *testing.T) {
	for _, c := range []struct{ name, emulator, want string }{
		{"emulator", "http://127.0.0.1:1", "`cp -a` or `rsync -X`"},
		{"Google Cloud", "", "gcloud storage buckets create gs://b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("STORAGE_EMULATOR_HOST", c.emulator)
			err := (&Bucket{name: "b"}).explain(t.Context(), "put", "k", storage.ErrBucketNotExist)
			if !errors.Is(err, storage.ErrBucketNotExist) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}
