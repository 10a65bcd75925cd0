package backend

import (
	"errors"
	"fmt"
	"strings"
)

// ErrTooLarge says that a program needs more memory than the device has: it will at every try.
var ErrTooLarge = errors.New("the program does not fit the device's memory")

// ErrMemory says that the device had no memory left while a program ran: another process, or what
// this one has left behind, may have it.
var ErrMemory = errors.New("the device has no memory left")

// exhausted is how go-xla prints the code of RESOURCE_EXHAUSTED.
const exhausted = "PJRT error (code=8)"

// ExplainMemory adds ErrTooLarge or ErrMemory to a plugin's error about memory, which go-xla gives as text; other errors stay as they are.
func ExplainMemory(err error) error {
	switch {
	case err == nil || !strings.Contains(err.Error(), exhausted):
		return err
	case strings.Contains(err.Error(), "failed to compile"):
		return fmt.Errorf("%w: a smaller global_batch_size needs less, and `trmsweep plan --compile-for` says what fits a TPU: %w", ErrTooLarge, err)
	}
	return fmt.Errorf("%w: %w", ErrMemory, err)
}
