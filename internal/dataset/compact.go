package dataset

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"syscall"
)

// compactFile lies in the folder of a split and holds its rows as bytes, inputs and labels
// of a row side by side. A batch then reads a sixth of the memory that arrays of int64
// need, from fewer pages. The first Sampler makes it; it is not part of the dataset.
const compactFile = ".rows.u8"

// compactRow is the length of a row in bytes: 81 inputs, then 81 labels.
const compactRow = 2 * 81

// compactHeader is the length of the header in bytes: a magic number with the format's
// version, then, as little-endian numbers, the number of rows, size and modification time
// (ns) of both files that it was made from, and the CRC-32C of the rows.
const compactHeader = 64

var (
	compactMagic = []byte("trmrows1")
	castagnoli   = crc32.MakeTable(crc32.Castagnoli)
)

// maxValue is the largest input or label: 0 is padding, 1 a blank, 2 to 10 are the digits.
const maxValue = 10

// compactInMemory is the greatest size in bytes of a copy in this process's memory, which
// is made if the copy cannot lie beside the set.
const compactInMemory = 1 << 30

// compact returns the rows as bytes, see compactFile. In a folder of the cache they are a
// mapped file that processes share; it is made if it is missing. For a set that was
// loaded, and if no file can be written, they are in this process's memory. The result is
// nil if neither is possible: then the Sampler reads the set itself, which is slower.
func (s *Set) compact() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.packed != nil {
		return s.packed, nil
	}
	if _, err := os.Stat(filepath.Join(s.dir, "..", manifestFile)); err == nil {
		want, err := s.compactIdentity()
		if err != nil {
			return nil, err
		}
		path := filepath.Join(s.dir, compactFile)
		if s.mapCompact(path, want) {
			return s.packed, nil
		}
		if err := s.writeCompact(path, want); errors.Is(err, ErrInput) {
			return nil, err
		}
		if s.mapCompact(path, want) {
			return s.packed, nil
		}
	}
	size := compactRow * s.rows
	if size > compactInMemory {
		return nil, nil
	}
	m, err := syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return nil, nil
	}
	s.maps = append(s.maps, m)
	at := 0
	if err := s.narrow(func(b []byte) error { at += copy(m[at:], b); return nil }); err != nil {
		return nil, err
	}
	s.packed = m
	return m, nil
}

// narrow calls yield with the rows as bytes, some thousand rows at a time.
func (s *Set) narrow(yield func([]byte) error) error {
	const chunk = 4096
	buf := make([]byte, chunk*compactRow)
	for i := 0; i < s.rows; {
		n := 0
		for ; n < len(buf) && i < s.rows; i++ {
			for j, c := range []*column{&s.inputs, &s.labels} {
				if !c.row(i, buf[n:n+81]) {
					return valueError(filepath.Join(s.dir, arrayFile(rowFiles[j])), i)
				}
				n += 81
			}
		}
		if err := yield(buf[:n]); err != nil {
			return err
		}
	}
	return nil
}

// compactIdentity returns the header without the checksum.
func (s *Set) compactIdentity() ([]byte, error) {
	h := binary.LittleEndian.AppendUint64(bytes.Clone(compactMagic), uint64(s.rows))
	for _, name := range rowFiles {
		st, err := os.Stat(filepath.Join(s.dir, arrayFile(name)))
		if err != nil {
			return nil, inputf("open dataset: %v", err)
		}
		h = binary.LittleEndian.AppendUint64(h, uint64(st.Size()))
		h = binary.LittleEndian.AppendUint64(h, uint64(st.ModTime().UnixNano()))
	}
	return h, nil
}

// mapCompact maps a compact file if it has this identity and its checksum is right.
func (s *Set) mapCompact(path string, want []byte) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	size := compactHeader + compactRow*s.rows
	if st, err := f.Stat(); err != nil || st.Size() != int64(size) {
		return false
	}
	// MAP_POPULATE would gain nothing: the checksum reads every page.
	m, err := syscall.Mmap(int(f.Fd()), 0, size, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return false
	}
	sum := binary.LittleEndian.Uint32(m[len(want):])
	if !bytes.Equal(m[:len(want)], want) || crc32.Checksum(m[compactHeader:], castagnoli) != sum {
		_ = syscall.Munmap(m)
		return false
	}
	s.maps, s.packed = append(s.maps, m), m[compactHeader:]
	return true
}

// writeCompact writes a temporary file and renames it, so that several processes may do so at the same time.
func (s *Set) writeCompact(path string, identity []byte) error {
	f, err := createPart(s.dir)
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	var sum uint32
	at := int64(compactHeader)
	err = s.narrow(func(b []byte) error {
		sum = crc32.Update(sum, castagnoli, b)
		_, err := f.WriteAt(b, at)
		at += int64(len(b))
		return err
	})
	if err != nil {
		return err
	}
	head := make([]byte, compactHeader)
	binary.LittleEndian.PutUint32(head[copy(head, identity):], sum)
	if _, err := f.WriteAt(head, 0); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// row copies row i to out as bytes. It returns false if a value is out of the model's range.
func (c *column) row(i int, out []uint8) bool {
	if c.size == 1 {
		copy(out[:81], c.data[81*i:81*i+81])
		return true
	}
	in, dst := (*[8 * 81]byte)(c.data[648*i:]), (*[81]uint8)(out)
	var all uint64
	over := uint64(0)
	for j := range dst {
		v := binary.LittleEndian.Uint64(in[8*j:])
		dst[j] = uint8(v)
		all |= v
		over |= maxValue - v
	}
	return all < 16 && over < 16
}

// checkValues looks for a value that is out of the model's range; ok is false if row has one.
func (c *column) checkValues() (row int, ok bool) {
	if c.size == 8 {
		var out [81]uint8
		for row := range c.rows() {
			if !c.row(row, out[:]) {
				return row, false
			}
		}
		return 0, true
	}
	const high, add = 0x8080808080808080, 0x7f7f7f7f7f7f7f7f - maxValue*0x0101010101010101
	b := c.data
	for ; len(b) >= 8; b = b[8:] {
		if v := binary.LittleEndian.Uint64(b); (v|((v&^high)+add))&high != 0 {
			break
		}
	}
	for ; len(b) > 0; b = b[1:] {
		if b[0] > maxValue {
			return (len(c.data) - len(b)) / 81, false
		}
	}
	return 0, true
}
