package dataset

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"trmsweep/internal/blob"
	"trmsweep/internal/layout"
)

// record is the content of sources/<name>.json in the bucket: the hash of the dataset that
// was made from a remote source. With it, hosts that train need neither download the
// source again nor have access to it, and all of them get the same dataset even if a
// branch of the Hub has moved.
type record struct {
	FormatVersion int    `json:"format_version"`
	Source        string `json:"source"`
	Hash          string `json:"hash"`
}

// recordName returns a hash of the options and of the generations of gs:// objects. It is
// "" for a local source, which is read each time.
func (o Options) recordName(ctx context.Context) (string, error) {
	if strings.HasPrefix(o.Source, gsScheme) {
		var err error
		if o, err = o.objects(ctx); err != nil {
			return "", err
		}
	}
	var at resolved
	for _, p := range []struct {
		address string
		to      *string
	}{{o.Source, &at.trainSHA256}, {o.TestSource, &at.testSHA256}} {
		switch {
		case strings.HasPrefix(p.address, gsScheme):
			_, attr, err := o.object(ctx, p.address)
			if errors.Is(err, blob.ErrNotExist) {
				return "", nil // resolve reports the missing object
			}
			if err != nil {
				return "", err
			}
			*p.to = fmt.Sprintf("%s generation %d", p.address, attr.Generation)
		case strings.HasPrefix(p.address, hubScheme):
			*p.to = p.address
		case p.address != "":
			return "", nil
		}
	}
	sum := sha256.Sum256([]byte(o.identity(at)))
	return hex.EncodeToString(sum[:]), nil
}

func readRecord(ctx context.Context, bucket blob.Bucket, name string) (hash string, ok bool) {
	if name == "" {
		return "", false
	}
	b, _, err := blob.ReadAll(ctx, bucket, layout.SourceKey(name), 0)
	if err != nil {
		return "", false // then the source is read
	}
	var r record
	err = json.Unmarshal(b, &r)
	return r.Hash, err == nil && r.FormatVersion == formatVersion && isHash(r.Hash)
}

func writeRecord(ctx context.Context, bucket blob.Bucket, name, source, hash string) error {
	if name == "" {
		return nil
	}
	b, err := json.Marshal(record{formatVersion, source, hash})
	if err != nil {
		return err
	}
	if _, err = blob.PutBytes(ctx, bucket, layout.SourceKey(name), b, blob.Any); errors.Is(err, blob.ErrPrecondition) {
		err = nil // a process without write access to the store can do without the record
	}
	return err
}
