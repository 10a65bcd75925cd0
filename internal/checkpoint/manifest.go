package checkpoint

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strconv"

	"trmsweep/internal/blob"
	"trmsweep/internal/layout"
)

const manifestName = layout.ManifestFile

// badError: what the storage holds cannot be restored, and trying again does not help.
type badError struct{ err error }

func (e *badError) Error() string { return e.err.Error() }
func (e *badError) Unwrap() error { return e.err }

func badf(format string, args ...any) error { return &badError{fmt.Errorf(format, args...)} }

func checkpointID(step, term int64, nonce string) string {
	return fmt.Sprintf("%012d-%06d-%s", step, term, nonce)
}

var idPattern = regexp.MustCompile(`^(\d{12,})-(\d{6,})-([0-9a-z]+)$`)

// commitName holds the parts of a commit's name.
type commitName struct {
	step, term int64
	nonce      string
}

// parseID takes a commit's name apart.
func parseID(id string) (commitName, error) {
	m := idPattern.FindStringSubmatch(id)
	if m == nil {
		return commitName{}, fmt.Errorf("%q is not a checkpoint name", id)
	}
	step, stepErr := strconv.ParseInt(m[1], 10, 64)
	term, termErr := strconv.ParseInt(m[2], 10, 64)
	return commitName{step, term, m[3]}, errors.Join(stepErr, termErr)
}

// stateName is the name of a rank's state file.
func stateName(rank, world int) string {
	return fmt.Sprintf("rank-%05d-of-%05d.safetensors", rank, world)
}

// readObject reads a whole object. Damage is read again twice: it may have happened on
// the way. So is the newest generation if it was deleted while it was read and another has come.
func readObject(ctx context.Context, b blob.Bucket, key string, generation int64) ([]byte, blob.Attr, error) {
	for try := 0; ; try++ {
		data, attr, err := blob.ReadAll(ctx, b, key, generation)
		retry := errors.Is(err, blob.ErrCorrupt)
		if generation == 0 && errors.Is(err, blob.ErrNotExist) {
			_, serr := b.Stat(ctx, key)
			retry = serr == nil
		}
		if try == 2 || !retry {
			return data, attr, err
		}
	}
}

// readExactly reads an object that was stored with the given size, CRC32C and
// SHA-256. Its generation is tried first; a store that was copied elsewhere has
// other generations, and then the hash alone decides.
func readExactly(ctx context.Context, b blob.Bucket, key string, generation, size int64, sum string) ([]byte, blob.Attr, error) {
	data, attr, err := readObject(ctx, b, key, generation)
	if errors.Is(err, blob.ErrNotExist) && generation != 0 {
		data, attr, err = readObject(ctx, b, key, 0)
	}
	switch {
	case errors.Is(err, blob.ErrNotExist), errors.Is(err, blob.ErrCorrupt):
		return nil, attr, &badError{err}
	case err != nil:
		return nil, attr, err
	case size >= 0 && int64(len(data)) != size:
		return nil, attr, badf("object %s has %d bytes, the manifest says %d", key, len(data), size)
	}
	if got := sha256Hex(data); sum != "" && got != sum {
		return nil, attr, badf("object %s has SHA-256 %s, %s was recorded", key, got, sum)
	}
	return data, attr, nil
}

func sha256Hex(data []byte) string {
	h := sha256.Sum256(data)
	return hex.EncodeToString(h[:])
}

// ReadManifest reads the manifest of an entry and checks it against the entry.
func ReadManifest(ctx context.Context, b blob.Bucket, e Entry) (Manifest, error) {
	m, _, err := readManifest(ctx, b, e)
	return m, err
}

func readManifest(ctx context.Context, b blob.Bucket, e Entry) (m Manifest, sum string, err error) {
	data, _, err := readExactly(ctx, b, e.Manifest, e.Generation, -1, e.SHA256)
	if err != nil {
		return m, "", fmt.Errorf("read manifest %s: %w", e.Manifest, err)
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return m, "", badf("read manifest %s: %w", e.Manifest, err)
	}
	if m.Format > Format {
		return m, "", fmt.Errorf("manifest %s has version %d, this program reads up to %d; use a newer one: %w",
			e.Manifest, m.Format, Format, ErrFormat)
	}
	name, err := parseID(m.Commit)
	asListed := e.Step == m.Step && e.Term == m.Term
	switch {
	case m.Format < 1 || err != nil || name.step != m.Step || name.term != m.Term || e.Manifest != "ckpt/"+m.Commit+"/"+manifestName:
		return m, "", badf("manifest %s names itself %q, step %d, term %d", e.Manifest, m.Commit, m.Step, m.Term)
	case e.SHA256 != "" && !asListed:
		return m, "", badf("manifest %s is of step %d, term %d, HEAD says step %d, term %d", e.Manifest, m.Step, m.Term, e.Step, e.Term)
	}
	return m, sha256Hex(data), nil
}

// dir is the folder of a commit, with a slash at the end.
func (e Entry) dir() string { return path.Dir(e.Manifest) + "/" }

// ReadMetrics concatenates the metric lines of a manifest: the run's exact log up to its step.
func ReadMetrics(ctx context.Context, b blob.Bucket, m Manifest) ([]byte, error) {
	var out []byte
	for _, c := range m.Metrics {
		data, _, err := readExactly(ctx, b, c.Key, c.Generation, c.Size, c.SHA256)
		if err != nil {
			return nil, fmt.Errorf("read metrics up to step %d: %w", c.Step, err)
		}
		out = append(out, data...)
	}
	return out, nil
}
