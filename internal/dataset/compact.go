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

// compactFile, in a split's folder, holds the rows as bytes, inputs and labels of
// a row side by side: a batch then waits for a sixth of the memory that int64
// arrays make it read, and for fewer pages. It is derived, made by the first Sampler, and no part of the dataset.
const compactFile = ".rows.u8"

// compactRow is the length of a row: 81 inputs, 81 labels.
const compactRow = 2 * 81

// compactHeader is a magic number with the format's version, then, little-endian,
// the rows, size and time of change (ns) of both files it was made from, and the
// CRC-32C of the rows.
const compactHeader = 64

var (
	compactMagic = []byte("trmrows1")
	castagnoli   = crc32.MakeTable(crc32.Castagnoli)
)

// maxValue is the largest input or label: 0 is padding, 1 a blank, 2..10 digits.
const maxValue = 10

// compactInMemory is the size, in bytes, up to which a copy is held in memory
// where it cannot lie beside the set.
const compactInMemory = 1 << 30

// compact returns the rows as bytes. In a folder of the cache they are a mapped
// file, made first if need be, which processes share; where none can be written, and in
// a set that was loaded, they are this process's own. The result
// is nil where neither can be: the set itself serves then, slower.
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

// narrow hands over the rows as bytes, some thousand at a time.
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

// compactIdentity is the header without the sum.
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

// mapCompact maps a compact file that has this identity and an intact content.
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

// writeCompact writes the file beside and renames it: processes may do so at the same time.
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

// row copies row i to out as bytes; false if an int64 value is none of the model's.
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

// checkValues looks for a value that the model does not know.
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
