package backend

import (
	"errors"
	"fmt"
	"strings"
)

// ErrTooLarge says that a program needs more memory than the device has. A retry does not help.
var ErrTooLarge = errors.New("the program does not fit the device's memory")

// ErrMemory says that the device ran out of memory while a program was executed: another process,
// or remains of this one, may occupy it. A retry may help.
var ErrMemory = errors.New("the device has no memory left")

// exhausted is go-xla's text for the code RESOURCE_EXHAUSTED.
const exhausted = "PJRT error (code=8)"

// ExplainMemory wraps a plugin's error about memory, which go-xla gives as text, with ErrTooLarge or ErrMemory. It
// returns other errors unchanged.
func ExplainMemory(err error) error {
	switch {
	case err == nil || !strings.Contains(err.Error(), exhausted):
		return err
	case strings.Contains(err.Error(), "failed to compile"):
		return fmt.Errorf("%w: a larger gradient_shards or a smaller global_batch_size needs less, "+
			"and `trmsweep plan --compile-for` says what fits a TPU: %w", ErrTooLarge, err)
	}
	return fmt.Errorf("%w: %w", ErrMemory, err)
}
