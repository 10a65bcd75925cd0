package train

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"trmsweep/internal/dataset"
	"trmsweep/internal/trm"
)

// BatchChain is a hash chain over what every step was fed: step, row ids, group
// ids and exploration draws. Equal digests after step k mean that the same
// batches entered in the same order, none repeated and none skipped.
type BatchChain struct {
	sum [sha256.Size]byte
	buf []byte
}

// ParseBatchChain continues a chain from its hex digest; the empty string starts a new one.
func ParseBatchChain(digest string) (*BatchChain, error) {
	l := &BatchChain{}
	if digest == "" {
		return l, nil
	}
	b, err := hex.DecodeString(digest)
	if err != nil || len(b) != sha256.Size {
		return nil, fmt.Errorf("batch chain digest %q is not a SHA-256 in hex", digest)
	}
	copy(l.sum[:], b)
	return l, nil
}

// Add chains one step.
func (l *BatchChain) Add(step int64, b *dataset.Batch, minSteps []int32) {
	buf := append(l.buf[:0], l.sum[:]...)
	buf = binary.LittleEndian.AppendUint64(buf, uint64(step))
	buf = binary.LittleEndian.AppendUint64(buf, uint64(len(b.Rows)))
	for i, row := range b.Rows {
		buf = binary.LittleEndian.AppendUint64(buf, uint64(row))
		buf = binary.LittleEndian.AppendUint32(buf, uint32(b.Groups[i]))
		buf = binary.LittleEndian.AppendUint32(buf, uint32(minSteps[i]))
	}
	l.buf = buf
	l.sum = sha256.Sum256(buf)
}

// Digest is the chain's current value in hex.
func (l *BatchChain) Digest() string { return hex.EncodeToString(l.sum[:]) }

// explore fills one step's exploration draws.
func explore(dst []int32, seed uint64, step int64, prob float64, haltMax int) {
	for slot := range dst {
		dst[slot] = trm.Explore(seed, step, slot, prob, haltMax)
	}
}
