package dataset

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// npyHeaderLen is the length of every header that this package writes; numpy pads headers to a multiple of 64 bytes.
const npyHeaderLen = 128

// npyHeader makes a version 1.0 header as numpy writes it.
func npyHeader(descr string, shape ...int) []byte {
	dims := make([]string, len(shape))
	for i, n := range shape {
		dims[i] = strconv.Itoa(n)
	}
	s := strings.Join(dims, ", ")
	if len(shape) == 1 {
		s += ","
	}
	dict := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", descr, s)
	b := append([]byte("\x93NUMPY\x01\x00v\x00"), dict...)
	return append(append(b, bytes.Repeat([]byte{' '}, npyHeaderLen-1-len(b))...), '\n')
}

// npyInfo is the content of a header.
type npyInfo struct {
	descr  string // |u1, <i4 or <i8
	size   int    // bytes per element
	shape  []int
	offset int // of the first element in the file
}

func (n npyInfo) rows() int { return n.shape[0] }

var npyDict = regexp.MustCompile(`^\{'descr': '([^']+)', 'fortran_order': (True|False), 'shape': \(([0-9, ]*)\), \}\s*$`)

// parseNpy parses the header at the beginning of b, which is a file or its first bytes,
// and checks that a file of this size has all elements.
func parseNpy(b []byte, size int64) (npyInfo, error) {
	var n npyInfo
	if len(b) < 10 || string(b[:6]) != "\x93NUMPY" {
		return n, fmt.Errorf("is no .npy file")
	}
	hlen := int(b[8]) | int(b[9])<<8
	n.offset = 10 + hlen
	if b[6] >= 2 {
		return n, fmt.Errorf("has .npy version %d.%d, want 1.0", b[6], b[7])
	}
	if len(b) < n.offset {
		return n, fmt.Errorf("is truncated in its header: %d bytes of %d", len(b), n.offset)
	}
	m := npyDict.FindSubmatch(b[10:n.offset])
	if m == nil {
		return n, fmt.Errorf("has a header that is not understood")
	}
	if string(m[2]) == "True" {
		return n, fmt.Errorf("is in Fortran order, want C order")
	}
	n.descr = string(m[1])
	switch n.descr {
	case "|u1", "|i1":
		n.size = 1
	case "<i4":
		n.size = 4
	case "<i8":
		n.size = 8
	default:
		return n, fmt.Errorf("has dtype %.20s, want |u1, <i4 or <i8", n.descr)
	}
	total := n.size
	for _, f := range strings.Split(string(m[3]), ",") {
		if f = strings.TrimSpace(f); f == "" {
			continue
		}
		d, err := strconv.Atoi(f)
		tooLarge := d > 0 && total > 1<<50/d
		if err != nil || d < 0 || tooLarge {
			return n, fmt.Errorf("has an impossible shape (%.100s)", m[3])
		}
		n.shape = append(n.shape, d)
		total *= d
	}
	if len(n.shape) == 0 {
		return n, fmt.Errorf("holds a scalar, want an array")
	}
	if got := size - int64(n.offset); got != int64(total) {
		return n, fmt.Errorf("holds %d bytes of data, want %d for %s %v: truncated or damaged", got, total, n.descr, n.shape)
	}
	return n, nil
}

// writeInt32 writes n int32 values as a one-dimensional .npy file.
func writeInt32(ctx context.Context, path string, n int, value func(i int) int32) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<16)
	_, _ = w.Write(npyHeader("<i4", n)) // Flush returns the first error
	var b [4]byte
	for i := range n {
		if i%(1<<20) == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		binary.LittleEndian.PutUint32(b[:], uint32(value(i)))
		_, _ = w.Write(b[:])
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}
