package backend

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// xlaName is the part of a backend's name after "xla:".
type xlaName struct {
	plugin  string // name or absolute path
	devices int    // 0 = the plugin's default
	gomlx   string // options for GoMLX, each after a comma
}

// gomlxOptions are the options that GoMLX v0.26.0 accepts after a plugin's path.
var gomlxOptions = []string{"shared_buffers", "noshared_buffers", "tf32"}

// parseXLA parses "PLUGIN,OPTION,...".
func parseXLA(s string) (xlaName, error) {
	plugin, options, _ := strings.Cut(s, ",")
	x := xlaName{plugin: plugin}
	if isCPU(plugin) {
		// One program runs at a time, on one device. The plugin's default of four devices would
		// share the same threads, and the number of devices would decide the size of the pool.
		x.devices = 1
	}
	for o := range strings.SplitSeq(options, ",") {
		key, value, _ := strings.Cut(o, "=")
		switch {
		case o == "":
		case slices.Contains(gomlxOptions, o):
			x.gomlx += "," + o
		case key == "devices":
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 {
				return x, fmt.Errorf("option %q: want a number of devices, 1 or more", o)
			}
			if !isCPU(plugin) {
				return x, fmt.Errorf("option %q: only a CPU plugin can show any number of devices", o)
			}
			x.devices = n
		default:
			return x, fmt.Errorf("no option is called %q; known: devices=N, %s", o, strings.Join(gomlxOptions, ", "))
		}
	}
	return x, nil
}

// isCPU says whether a plugin, given by its name or its file, computes on the processor.
func isCPU(plugin string) bool {
	return strings.Contains(strings.ToLower(filepath.Base(plugin)), "cpu")
}
