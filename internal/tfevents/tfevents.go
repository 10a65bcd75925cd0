// Package tfevents writes TensorBoard event records (Event messages in TFRecord framing) for
// scalars. It appends to byte slices and writes no files.
package tfevents

import (
	"encoding/binary"
	"hash/crc32"
	"math"
)

// Scalar is one value of a summary.
type Scalar struct {
	Tag   string
	Value float64 // stored as float32
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func masked(data []byte) uint32 {
	c := crc32.Checksum(data, castagnoli)
	return (c>>15 | c<<17) + 0xa282ead8
}

// appendRecord frames data: length, masked CRC of the length, data, masked CRC of data.
func appendRecord(buf, data []byte) []byte {
	n := binary.LittleEndian.AppendUint64(nil, uint64(len(data)))
	buf = append(buf, n...)
	buf = binary.LittleEndian.AppendUint32(buf, masked(n))
	buf = append(buf, data...)
	return binary.LittleEndian.AppendUint32(buf, masked(data))
}

// Protocol buffer keys: field number << 3 | wire type (0 varint, 1 64-bit, 2 bytes, 5 32-bit).
const (
	eventWallTime    = 1<<3 | 1
	eventStep        = 2<<3 | 0
	eventFileVersion = 3<<3 | 2
	eventSummary     = 5<<3 | 2
	summaryValue     = 1<<3 | 2
	valueTag         = 1<<3 | 2
	valueSimple      = 2<<3 | 5
)

func appendBytes(buf []byte, key byte, data []byte) []byte {
	buf = append(buf, key)
	buf = binary.AppendUvarint(buf, uint64(len(data)))
	return append(buf, data...)
}

func event(wallTime float64) []byte {
	return binary.LittleEndian.AppendUint64([]byte{eventWallTime}, math.Float64bits(wallTime))
}

// AppendHeader appends the first record of an event file to buf. wallTime is in seconds since 1970.
func AppendHeader(buf []byte, wallTime float64) []byte {
	return appendRecord(buf, appendBytes(event(wallTime), eventFileVersion, []byte("brain.Event:2")))
}

// AppendScalars appends one record with the scalars of a step to buf. wallTime is in seconds since 1970.
func AppendScalars(buf []byte, wallTime float64, step int64, scalars ...Scalar) []byte {
	var summary []byte
	for _, s := range scalars {
		v := appendBytes(nil, valueTag, []byte(s.Tag))
		v = append(v, valueSimple)
		v = binary.LittleEndian.AppendUint32(v, math.Float32bits(float32(s.Value)))
		summary = appendBytes(summary, summaryValue, v)
	}
	e := append(event(wallTime), eventStep)
	e = binary.AppendUvarint(e, uint64(step))
	return appendRecord(buf, appendBytes(e, eventSummary, summary))
}
