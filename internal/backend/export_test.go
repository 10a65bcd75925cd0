package backend

import (
	"time"

	"trmsweep/internal/tpu"
)

// SetTPU puts another machine in the place of this one, and other waits.
func SetTPU(root string, wait, every time.Duration) {
	thisHost, patience, retryEvery = tpu.Host{Root: root}, wait, every
}
