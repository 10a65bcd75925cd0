package aot

import (
	"regexp"
	"strconv"
)

// Compiled is the compiler's description of a program. All sizes are in bytes on one device.
type Compiled struct {
	Seconds       float64 `json:"compile_seconds"`
	CPUSeconds    float64 `json:"compile_cpu_seconds"` // CPU time of the compiler's process, which a busy machine does not change
	API           string  `json:"pjrt_api"`            // API version of the compiler
	DeviceKind    string  `json:"device_kind"`
	Devices       int     `json:"devices"` // number of devices of the topology
	Code          int64   `json:"code_bytes"`
	Arguments     int64   `json:"argument_bytes"`
	Outputs       int64   `json:"output_bytes"`
	Aliases       int64   `json:"alias_bytes"` // part of the outputs that uses the memory of arguments
	Temporary     int64   `json:"temporary_bytes"`
	Serialized    int64   `json:"serialized_bytes"` // size of the serialized executable
	FLOPs         float64 `json:"flops"`
	BytesAccessed float64 `json:"bytes_accessed"`
	Refused       *TooBig `json:"out_of_hbm,omitempty"` // set if the compiler refused the program; then no other size is known
}

// TooBig describes a program that does not fit: its temporary values alone need more memory than the chip has.
type TooBig struct {
	Need int64 `json:"need_bytes"`
	Have int64 `json:"have_bytes"`
}

// oomForms match the two forms of XLA's message that the high-bandwidth memory is too small.
var oomForms = []*regexp.Regexp{
	regexp.MustCompile(`total memory required[^(]*\(([0-9.]+)([KMGT]?)i?B?\) exceeds available HBM \(([0-9.]+)([KMGT]?)i?B?\)`),
	regexp.MustCompile(`Used ([0-9.]+)([KMGT]?)i?B? of ([0-9.]+)([KMGT]?)i?B? hbm`),
}

// tooBig parses the sizes in the compiler's message; it returns nil if the message is about something else.
func tooBig(message string) *TooBig {
	for _, form := range oomForms {
		if m := form.FindStringSubmatch(message); m != nil {
			return &TooBig{Need: size(m[1], m[2]), Have: size(m[3], m[4])}
		}
	}
	return nil
}

// size parses a number with XLA's binary suffix and returns bytes.
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
