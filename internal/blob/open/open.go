// Package open turns the address that a user types into a bucket: gs://NAME/prefix
// is Google Cloud Storage (or the emulator that STORAGE_EMULATOR_HOST names),
// anything else a directory.
package open

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"trmsweep/internal/blob"
	"trmsweep/internal/blob/disk"
	"trmsweep/internal/blob/gcs"
	"trmsweep/internal/blob/patient"
)

// shortPatience rides out single failed requests for callers that do not wait themselves.
const shortPatience = 10 * time.Second

type nothing struct{}

func (nothing) Close() error { return nil }

// Bucket opens the store. The closer must be closed when the bucket is no
// longer used. Single failed requests to Google Cloud Storage are repeated for some
// seconds; wrap the bucket in package patient to wait longer.
func Bucket(ctx context.Context, address string) (blob.Bucket, io.Closer, error) {
	rest, cloud := strings.CutPrefix(address, "gs://")
	if !cloud {
		if address == "" || strings.Contains(address, "://") {
			return nil, nil, fmt.Errorf("open store %q: want gs://BUCKET[/PREFIX] or a directory", address)
		}
		b, err := disk.Open(address)
		if err != nil {
			return nil, nil, err
		}
		return b, nothing{}, nil
	}
	name, prefix, _ := strings.Cut(rest, "/")
	prefix = strings.Trim(prefix, "/")
	if name == "" {
		return nil, nil, fmt.Errorf("open store %q: the bucket's name is missing", address)
	}
	if prefix != "" {
		if err := blob.CheckKey(prefix); err != nil {
			return nil, nil, fmt.Errorf("open store %q: %w", address, err)
		}
		prefix += "/"
	}
	var b *gcs.Bucket
	var err error
	for start := time.Now(); ; {
		b, err = gcs.Open(ctx, name, 0)
		if err == nil || !errors.Is(err, blob.ErrTransient) || time.Since(start) > shortPatience {
			break
		}
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
			return nil, nil, fmt.Errorf("open store %s: %w", address, context.Cause(ctx))
		}
	}
	if err != nil {
		return nil, nil, err
	}
	return blob.Prefix(patient.New(b, shortPatience, nil), prefix), b, nil
}
