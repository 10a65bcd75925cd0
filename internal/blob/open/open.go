// Package open turns the address that a user types into a bucket: gs://NAME/prefix
// is Google Cloud Storage (or the emulator that STORAGE_EMULATOR_HOST names), anything else a directory.
package open

import (
	"context"
	"io"

	"trmsweep/internal/blob"
)

// Bucket opens the store. The closer must be closed when the bucket is no longer used.
func Bucket(ctx context.Context, address string) (blob.Bucket, io.Closer, error) { panic("soon") }
