package main

import (
	"fmt"
	"io/fs"
	"os"
	"strings"

	"trmsweep/internal/backend"
	"trmsweep/internal/experiment"
	"trmsweep/internal/tpu"
)

// place decides how many training processes the host runs at once, and whether each has a chip of its own: f.slots and
// f.chips are what the worker gets. Only the chips of a TPU are divided.
func (f *workerFlags) place(cfg fs.FS) error {
	chips, err := f.dividedInto(cfg)
	if err != nil {
		return err
	}
	f.chips = chips
	switch {
	case f.slots == 0:
		f.slots = max(1, chips)
	case chips > 0 && f.slots > chips:
		return usagef("--slots %d: with placement %s every training process has a chip of its own, and this host has %d", f.slots,
			experiment.PlacementChip, chips)
	}
	return nil
}

// dividedInto is the number of chips of this host that training processes get one each of; 0: the host is not divided.
func (f *workerFlags) dividedInto(cfg fs.FS) (int, error) {
	chips := f.chips
	if chips == 0 {
		chips = len(tpu.Host{}.Devices())
	}
	if !onTPU(f.backend, chips) {
		return 0, nil
	}
	placement, from := f.placement, "--placement"
	if placement == "" {
		var err error
		if placement, err = profilePlacement(cfg, f.profile); err != nil {
			return 0, err
		}
		from = "profile " + f.profile
	}
	if placement != experiment.PlacementChip {
		return 0, nil
	}
	if placed := tpu.Placed(os.LookupEnv); len(placed) > 0 {
		return 0, usagef("%s: placement %s gives every training process a chip, and the environment places it already (%s): unset that, or "+
			"use --placement %s",
			from, placement, strings.Join(placed, " "), experiment.PlacementHost)
	}
	if len(tpu.Isolation(chips, 0)) == 0 {
		return 0, usagef("%s: placement %s on a host with %d TPU chips in /dev: want 1, 4 or 8; say how many there are with --chips, or use "+
			"--placement %s",
			from, placement, chips, experiment.PlacementHost)
	}
	return chips, nil
}

// onTPU says that training on the backend will be on TPU chips: "auto" chooses them if there are some and their plugin is installed.
func onTPU(name string, chips int) bool {
	if name != "auto" {
		return backend.IsTPU(name)
	}
	for _, p := range backend.Plugins() {
		if p.Name == "tpu" && p.Err == nil {
			return chips > 0
		}
	}
	return false
}

// profilePlacement is the placement that a profile gives to experiments.
func profilePlacement(cfg fs.FS, profile string) (string, error) {
	names, err := experiment.Experiments(cfg)
	if err != nil {
		return "", err
	}
	if len(names) == 0 {
		return "", fmt.Errorf("placement of profile %s: there are no experiments", profile)
	}
	s, err := experiment.Resolve(cfg, names[0], profile, nil, os.Environ())
	if err != nil {
		return "", configError(err)
	}
	return s.Placement, nil
}
