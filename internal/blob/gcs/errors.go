package gcs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"syscall"

	"cloud.google.com/go/storage"
	"google.golang.org/api/googleapi"

	"trmsweep/internal/blob"
)

func code(err error) int {
	var g *googleapi.Error
	if errors.As(err, &g) {
		return g.Code
	}
	return 0
}

func notFound(err error) bool {
	return code(err) == 404 || errors.Is(err, storage.ErrBucketNotExist) || errors.Is(err, storage.ErrObjectNotExist)
}

// explain wraps the sentinel that applies to an error and adds advice. ctx is the context of the caller, without the watchdog's deadline.
func (b *Bucket) explain(ctx context.Context, op, key string, err error) error {
	at := fmt.Sprintf("%s %s", op, b.url(key))
	if cerr := context.Cause(ctx); cerr != nil {
		return fmt.Errorf("%s: %w", at, cerr)
	}
	c := code(err)
	reads := op == "get" || op == "stat" || op == "delete"
	switch {
	case c == 412:
		return fmt.Errorf("%s: %w", at, blob.ErrPrecondition)
	case errors.Is(err, storage.ErrObjectNotExist), c == 404 && reads:
		return fmt.Errorf("%s: %w", at, blob.ErrNotExist)
	case notFound(err) && emulator() != "":
		return fmt.Errorf("%s: the emulator at STORAGE_EMULATOR_HOST=%s has no bucket %s: if its folder was copied, the extended attributes "+
			"(xattrs) with the buckets' metadata were left behind: copy again with `cp -a` or `rsync -X`: %w", at, emulator(), b.name, err)
	case notFound(err):
		return fmt.Errorf("%s: there is no bucket %s: create it with `gcloud storage buckets create gs://%s`, or name another store: %w",
			at, b.name, b.name, err)
	case c == 403 && emulator() != "":
		return fmt.Errorf("%s: refused by the emulator at STORAGE_EMULATOR_HOST=%s: %w: %w", at, emulator(), blob.ErrDenied, err)
	case c == 401, c == 403:
		return fmt.Errorf("%s: permission denied: grant this account roles/storage.objectAdmin on gs://%s: %w: %w",
			at, b.name, blob.ErrDenied, err)
	case full(err):
		return fmt.Errorf("%s: no space left on the disk of the emulator: %w: %w", at, blob.ErrFull, err)
	case c == 400 && damagedOnTheWay(err), c == 408, c == 429, c >= 500:
		return fmt.Errorf("%s: %w: %w", at, blob.ErrTransient, err)
	case errors.Is(err, syscall.ECONNREFUSED) && emulator() != "":
		return fmt.Errorf("%s: nothing answers at STORAGE_EMULATOR_HOST=%s: start the emulator, or unset it to use Google Cloud: %w: %w",
			at, emulator(), blob.ErrTransient, err)
	case transport(err):
		return fmt.Errorf("%s: %w: %w", at, blob.ErrTransient, err)
	}
	return fmt.Errorf("%s: %w", at, err)
}

// full says whether the disk of an emulator has no room; Google's is never full.
func full(err error) bool {
	const internalError, insufficientStorage = 500, 507
	switch code(err) {
	case insufficientStorage:
		return true
	case internalError:
		return strings.Contains(err.Error(), syscall.ENOSPC.Error())
	}
	return false
}

// damagedOnTheWay says whether the server refused an upload because its bytes or its envelope arrived changed.
func damagedOnTheWay(err error) bool {
	s := strings.ToLower(err.Error())
	return strings.Contains(s, "crc32c") || strings.Contains(s, "hash") || strings.Contains(s, "multipart") || strings.Contains(s, "json")
}

// transport says whether the connection failed, as opposed to an error answer of the server.
func transport(err error) bool {
	var (
		ue *url.Error
		ne net.Error
		oe *net.OpError
	)
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, context.Canceled) || errors.Is(err, net.ErrClosed) || errors.As(err, &ue) || errors.As(err, &ne) || errors.As(err, &oe) ||
		strings.Contains(err.Error(), "http2:") || strings.Contains(err.Error(), "invalid character") || strings.Contains(err.Error(), "bad CRC")
}
