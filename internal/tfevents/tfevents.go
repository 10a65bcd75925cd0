// Package tfevents writes TensorBoard event files.
package tfevents

// Scalar is one value of a summary.
type Scalar struct {
	Tag   string
	Value float64
}

// AppendHeader appends the first record of an event file to buf.
func AppendHeader(buf []byte, wallTime float64) []byte { panic("soon") }

// AppendScalars appends one record with the scalars of a step; wallTime is seconds since 1970.
func AppendScalars(buf []byte, wallTime float64, step int64, scalars ...Scalar) []byte { panic("soon") }
