package aot

import (
	"regexp"
	"strconv"
)

// Compiled is what the compiler says of a program. All sizes are bytes of one device.
type Compiled struct {
	Seconds       float64 `json:"compile_seconds"`
	CPUSeconds    float64 `json:"compile_cpu_seconds"` // of the compiler's process: a busy machine does not change it
	API           string  `json:"pjrt_api"`            // of the compiler
	DeviceKind    string  `json:"device_kind"`
	Devices       int     `json:"devices"` // of the topology
	Code          int64   `json:"code_bytes"`
	Arguments     int64   `json:"argument_bytes"`
	Outputs       int64   `json:"output_bytes"`
	Aliases       int64   `json:"alias_bytes"` // of the outputs, in the memory of arguments
	Temporary     int64   `json:"temporary_bytes"`
	Serialized    int64   `json:"serialized_bytes"` // of the executable
	FLOPs         float64 `json:"flops"`
	BytesAccessed float64 `json:"bytes_accessed"`
	Refused       *TooBig `json:"out_of_hbm,omitempty"` // the compiler refused the program: nothing else is known
}

// TooBig is a program that does not fit: its temporary values alone need more than there is.
type TooBig struct {
	Need int64 `json:"need_bytes"`
	Have int64 `json:"have_bytes"`
}

// The two forms in which XLA says that the high-bandwidth memory is too small.
var oomForms = []*regexp.Regexp{
	regexp.MustCompile(`total memory required[^(]*\(([0-9.]+)([KMGT]?)i?B?\) exceeds available HBM \(([0-9.]+)([KMGT]?)i?B?\)`),
	regexp.MustCompile(`Used ([0-9.]+)([KMGT]?)i?B? of ([0-9.]+)([KMGT]?)i?B? hbm`),
}

// tooBig reads the sizes from the compiler's message; nil: it is about something else.
func tooBig(message string) *TooBig {
	for _, form := range oomForms {
		if m := form.FindStringSubmatch(message); m != nil {
			return &TooBig{Need: size(m[1], m[2]), Have: size(m[3], m[4])}
		}
	}
	return nil
}

// size is a number of bytes with XLA's binary suffix.
func size(number, suffix string) int64 {
	v, _ := strconv.ParseFloat(number, 64)
	for _, s := range "KMGT" {
		if suffix == "" {
			break
		}
		v *= 1024
		if suffix == string(s) {
			break
		}
	}
	return int64(v)
}
