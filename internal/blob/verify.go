package blob

import (
	"fmt"
	"hash/crc32"
	"io"
)

// Castagnoli is the table of the CRC32C checksums.
var Castagnoli = crc32.MakeTable(crc32.Castagnoli)

// VerifyReader returns a reader of r that fails with ErrCorrupt, at the latest at the end, if
// the bytes do not have the size and the CRC32C of a.
func VerifyReader(r io.Reader, a Attr) io.Reader { return &verifier{r: r, want: a} }

type verifier struct {
	r    io.Reader
	want Attr
	n    int64
	crc  uint32
}

func (v *verifier) Read(p []byte) (int, error) {
	n, err := v.r.Read(p)
	v.n += int64(n)
	v.crc = crc32.Update(v.crc, Castagnoli, p[:n])
	tooShort := err == io.EOF && v.n != v.want.Size
	if v.n > v.want.Size || tooShort {
		return n, fmt.Errorf("object %s has %d bytes or more where %d were stored: %w", v.want.Key, v.n, v.want.Size, ErrCorrupt)
	}
	if err == io.EOF && v.crc != v.want.CRC32C {
		return n, fmt.Errorf("object %s has CRC32C %08x where %08x was stored: %w", v.want.Key, v.crc, v.want.CRC32C, ErrCorrupt)
	}
	return n, err
}

// CRC32C reads size bytes of body and returns their checksum.
func CRC32C(body io.ReaderAt, size int64) (uint32, error) {
	h := crc32.New(Castagnoli)
	n, err := io.CopyBuffer(struct{ io.Writer }{h}, io.NewSectionReader(body, 0, size), make([]byte, 256<<10))
	if err != nil {
		return 0, fmt.Errorf("read source: %w", err)
	}
	if n != size {
		return 0, fmt.Errorf("read source: %d bytes where %d were announced: %w", n, size, io.ErrUnexpectedEOF)
	}
	return h.Sum32(), nil
}
