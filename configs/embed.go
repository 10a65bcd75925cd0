// Package configs holds the study's configuration files: base.yaml, what each of
// the 18 experiments changes, the named sweeps and the profiles that scale them.
// It has no logic; internal/experiment composes and checks.
package configs

import "embed"

// FS has the files of this folder under the names they have here.
//
//go:embed base.yaml experiments sweeps profiles
var FS embed.FS
