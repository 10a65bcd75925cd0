// Package open opens the bucket at an address that a user types: gs://NAME/prefix is Google
// Cloud Storage (or the emulator that STORAGE_EMULATOR_HOST names), anything else is a
// directory.
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

// shortPatience is the time for which failed requests are retried for callers that do not retry themselves.
const shortPatience = 10 * time.Second

type nothing struct{}

func (nothing) Close() error { return nil }

// Bucket opens the store. The caller must close the closer after use. Failed requests to
// Google Cloud Storage are retried for some seconds.
func Bucket(ctx context.Context, address string) (blob.Bucket, io.Closer, error) {
	b, closer, err := Raw(ctx, address, shortPatience, nil)
	if err == nil {
		b = patient.New(b, shortPatience, nil)
	}
	return b, closer, err
}

// ToRead is Bucket for callers that only read: a directory must exist and nothing in it is changed.
func ToRead(ctx context.Context, address string) (blob.Bucket, io.Closer, error) {
	if name, _, err := parse(address); err != nil || name != "" {
		return Bucket(ctx, address)
	}
	b, err := disk.OpenExisting(address)
	if err != nil {
		return nil, nil, err
	}
	return patient.New(b, shortPatience, nil), nothing{}, nil
}

// Check returns an error if address cannot be the address of a store. It opens nothing.
func Check(address string) error {
	_, _, err := parse(address)
	return err
}

// parse returns the bucket and the prefix, with its final slash, of a gs:// address. Both are empty for a directory.
func parse(address string) (bucket, prefix string, err error) {
	rest, cloud := strings.CutPrefix(address, "gs://")
	if !cloud {
		if address == "" || strings.Contains(address, "://") {
			return "", "", fmt.Errorf("open store %q: want gs://BUCKET[/PREFIX] or a directory", address)
		}
		return "", "", nil
	}
	bucket, prefix, _ = strings.Cut(rest, "/")
	prefix = strings.Trim(prefix, "/")
	if bucket == "" {
		return "", "", fmt.Errorf("open store %q: the bucket's name is missing", address)
	}
	if prefix != "" {
		if err := blob.CheckKey(prefix); err != nil {
			return "", "", fmt.Errorf("open store %q: %w", address, err)
		}
		prefix += "/"
	}
	return bucket, prefix, nil
}

// Raw opens a store for callers that do their own retries. It retries only the opening,
// for up to patience, and calls notify (may be nil) after every failure. Afterwards every
// operation is attempted once.
func Raw(
	ctx context.Context, address string, patience time.Duration, notify func(err error, waited time.Duration),
) (blob.Bucket, io.Closer, error) {
	name, prefix, err := parse(address)
	if err != nil {
		return nil, nil, err
	}
	if name == "" {
		b, err := disk.Open(address)
		if err != nil {
			return nil, nil, err
		}
		return b, nothing{}, nil
	}
	var b *gcs.Bucket
	for start := time.Now(); ; {
		b, err = gcs.Open(ctx, name, 0)
		if err == nil || !errors.Is(err, blob.ErrTransient) {
			break
		}
		waited := time.Since(start)
		if notify != nil {
			notify(err, waited)
		}
		if waited >= patience {
			return nil, nil, fmt.Errorf("open store %s: gave up after %s: %w", address, waited.Round(time.Millisecond), err)
		}
		select {
		case <-time.After(min(500*time.Millisecond, patience-waited)):
		case <-ctx.Done():
			return nil, nil, fmt.Errorf("open store %s: %w", address, context.Cause(ctx))
		}
	}
	if err != nil {
		return nil, nil, err
	}
	return blob.Prefix(b, prefix), b, nil
}
