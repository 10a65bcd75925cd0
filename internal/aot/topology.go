package aot

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// ErrTopology says that no TPU has the given topology.
var ErrTopology = errors.New("unknown TPU topology")

// Chip holds the limits of a kind of TPU chip.
type Chip struct {
	Kind        string  `json:"kind"`       // as in topology names
	PeakFLOPs   float64 `json:"peak_flops"` // per second, in bfloat16
	Bandwidth   float64 `json:"bandwidth"`  // of the HBM, in bytes per second
	HBM         int64   `json:"hbm_bytes"`  // bytes that a program may use
	dims        int     // number of dimensions of its topologies
	maxChips    int     // greatest number of chips in a slice
	perHost     []int64 // chips of a host in x, y and z; nil = libtpu's default
	fused       bool    // its two cores are one device
	example     string
	accelerator string // value of TPU_ACCELERATOR_TYPE for one host
}

// gib converts GiB to bytes.
func gib(n float64) int64 { return int64(n * (1 << 30)) }

// chips has peak FLOP/s and bandwidth from https://docs.cloud.google.com/tpu/docs/v4, /v5e, /v5p and /v6e, read in
// November 2026. HBM is the memory that the compiler of libtpu 0.0.52 leaves to a program; its out-of-memory message says it.
var chips = []Chip{
	{Kind: "v4", PeakFLOPs: 275e12, Bandwidth: 1200e9, HBM: gib(30.75), dims: 3, maxChips: 4096, perHost: []int64{2, 2, 1}, fused: true,
		example: "v4:2x2x1", accelerator: "v4-8"},
	{
		Kind: "v5e", PeakFLOPs: 197e12, Bandwidth: 819e9, HBM: gib(15.75),
		dims: 2, maxChips: 256, example: "v5e:2x2", accelerator: "v5litepod-4",
	},
	{Kind: "v5p", PeakFLOPs: 459e12, Bandwidth: 2765e9, HBM: gib(95.73), dims: 3, maxChips: 8960, perHost: []int64{2, 2, 1}, fused: true,
		example: "v5p:2x2x1", accelerator: "v5p-8"},
	{Kind: "v6e", PeakFLOPs: 918e12, Bandwidth: 1640e9, HBM: gib(31.24), dims: 2, maxChips: 256, example: "v6e:2x2", accelerator: "v6e-4"},
}

// Topology is a slice of TPU chips.
type Topology struct {
	Name  string // in libtpu's form, such as v4:2x2x1
	Chip  Chip
	Chips int
	sides []int64
}

var topologyForm = regexp.MustCompile(`^([a-z0-9]+):([0-9]{1,4}(?:x[0-9]{1,4})*)$`)

// ParseTopology parses a topology such as v4:2x2x1 or v6e:2x4. Only libtpu knows whether a slice of that shape exists.
func ParseTopology(name string) (Topology, error) {
	t := Topology{Name: name, Chips: 1}
	wrong := func(why string) (Topology, error) {
		return Topology{}, fmt.Errorf("%w %q: %s; known are %s", ErrTopology, name, why, knownTopologies())
	}
	m := topologyForm.FindStringSubmatch(name)
	if m == nil {
		return wrong("want a kind of chip, a colon and the sides of the slice in chips")
	}
	i := slices.IndexFunc(chips, func(c Chip) bool { return c.Kind == m[1] })
	if i < 0 {
		return wrong("there is no chip " + m[1])
	}
	t.Chip = chips[i]
	for side := range strings.SplitSeq(m[2], "x") {
		n, _ := strconv.Atoi(side)
		t.sides = append(t.sides, int64(n))
		t.Chips *= n
	}
	switch {
	case len(t.sides) != t.Chip.dims:
		return wrong(fmt.Sprintf("slices of %s have %d sides", m[1], t.Chip.dims))
	case t.Chips == 0:
		return wrong("it has no chip")
	case t.Chips > t.Chip.maxChips:
		return wrong(fmt.Sprintf("%d chips; a slice of %s has at most %d", t.Chips, m[1], t.Chip.maxChips))
	}
	return t, nil
}

// knownTopologies describes the kinds of chips and the form of topologies for messages.
func knownTopologies() string {
	var known []string
	for _, c := range chips {
		known = append(known, fmt.Sprintf("%s:%s up to %d chips (%s is one host)", c.Kind, "AxBxC"[:2*c.dims-1], c.maxChips, c.example))
	}
	return strings.Join(known, ", ")
}

// hostBounds returns the chips of one host of the slice in x, y and z; nil if libtpu's default is right.
func (t Topology) hostBounds() []int64 {
	bounds := slices.Clone(t.Chip.perHost)
	for i := range bounds {
		bounds[i] = min(bounds[i], t.sides[i])
	}
	return bounds
}

// environment returns the variables for libtpu on a machine without a TPU: libtpu then neither asks for the
// machine's metadata nor waits for other processes.
func (t Topology) environment() []string {
	return []string{"TPU_SKIP_MDS_QUERY=1", "TPU_WORKER_HOSTNAMES=localhost", "TPU_ACCELERATOR_TYPE=" + t.Chip.accelerator,
		"ALLOW_MULTIPLE_LIBTPU_LOAD=1", "TPU_LOG_DIR=disabled"}
}
