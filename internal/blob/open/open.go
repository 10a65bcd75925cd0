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
// longer used. Single failed requests to Google Cloud Storage are repeated for some seconds.
func Bucket(ctx context.Context, address string) (blob.Bucket, io.Closer, error) {
	b, closer, err := Raw(ctx, address, shortPatience, nil)
	if err == nil {
		b = patient.New(b, shortPatience, nil)
	}
	return b, closer, err
}

// Raw opens a store for callers that decide themselves how long to wait: it waits
// up to patience until the store answers, telling notify (may be nil), and then
// tries every operation once.
func Raw(ctx context.Context, address string, patience time.Duration, notify func(err error, waited time.Duration)) (blob.Bucket, io.Closer, error) {
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
