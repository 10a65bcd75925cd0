package backend

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gomlx/gomlx/backends"

	"trmsweep/internal/tpu"
	"trmsweep/internal/wait"
)

// ErrBusy is an ErrOpen that is caused by another process: it uses the device, or has just died and
// the device is not free yet. The run and the host are in order.
var ErrBusy = errors.New("the device is busy")

// thisHost is the host whose TPU chips are used. Tests replace it.
var thisHost = tpu.Host{}

// retryEvery is the pause between two attempts to open a busy device.
var retryEvery = 2 * time.Second

// IsTPU says whether the backend with this name uses libtpu. It opens nothing.
func IsTPU(name string) bool {
	kind, rest, _ := strings.Cut(name, ":")
	which, _, _ := strings.Cut(rest, ",")
	if kind != "xla" {
		return false
	}
	return which == "tpu" || isTPU(which)
}

// isTPU says whether a plugin drives TPUs.
func isTPU(plugin string) bool {
	return pluginName(plugin) == "tpu" || filepath.Base(plugin) == "libtpu.so"
}

// placeOnTPU sets the variables that give this process its part of a TPU host: the whole host, unless
// the user or a worker has set them. libtpu reads them when it is loaded.
func placeOnTPU() {
	placed := tpu.Placed(os.LookupEnv)
	add := tpu.Logging()
	if len(placed) == 0 {
		add = append(add, tpu.Isolation(len(thisHost.Devices()), tpu.AllChips)...)
	}
	for _, pair := range add {
		name, value, _ := strings.Cut(pair, "=")
		if _, ok := os.LookupEnv(name); !ok {
			_ = os.Setenv(name, value)
		}
	}
	slog.Info("placement on the TPU host", "environment", tpu.Placed(os.LookupEnv), "given", len(placed) > 0, "chips", len(thisHost.Devices()))
}

// waitForTPU waits until no other process uses the chips of this one, but not beyond deadline. ErrBusy then names the process.
func waitForTPU(ctx context.Context, deadline time.Time, waits func(error)) error {
	chip := tpu.VisibleChip(os.LookupEnv)
	for logged := false; ; logged = true {
		holders := thisHost.Holders(chip)
		if len(holders) == 0 {
			break
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%w: %s; stop that process, or wait for its end", ErrBusy, holders[0])
		}
		if !logged {
			waits(fmt.Errorf("%w: %s", ErrBusy, holders[0]))
			slog.Warn("the TPU is busy, waiting", "holder", holders[0].String(), "until", deadline.Format(time.TimeOnly))
		}
		if err := wait.Sleep(ctx, min(retryEvery, max(time.Until(deadline), time.Millisecond))); err != nil {
			return err
		}
	}
	if chip != tpu.AllChips {
		return nil
	}
	removed, err := thisHost.ForgetStaleLock()
	if removed {
		slog.Warn("removed the lock file of a process that has ended", "file", thisHost.LockFile())
	}
	return err
}

// saysBusy says whether a plugin's error means that another process uses the device.
func saysBusy(err error) bool {
	text := strings.ToLower(err.Error())
	for _, words := range []string{"already in use", "in use by process", "device or resource busy", "resource busy"} {
		if strings.Contains(text, words) {
			return true
		}
	}
	return false
}

// openDevices opens the devices of a PJRT plugin. If a device is busy, it retries for up to the patience of o, and says that it waits.
func openDevices(ctx context.Context, construct func() (backends.Backend, error), plugin string, o Options) (backends.Backend, error) {
	patience := cmp.Or(o.Patience, patience)
	waits := o.Waits
	if waits == nil {
		waits = func(error) {}
	}
	defer waits(nil)
	deadline := time.Now().Add(patience)
	if isTPU(plugin) {
		placeOnTPU()
		if err := waitForTPU(ctx, deadline, waits); err != nil {
			return nil, err
		}
	}
	var busy error // error of the previous attempt
	for logged := false; ; logged = true {
		b, err := patiently(ctx, construct, time.Until(deadline))
		if errors.Is(err, errNoAnswer) && busy != nil {
			err = busy // the deadline interrupted the last attempt
		}
		switch {
		case err == nil:
			return b, nil
		case errors.Is(err, errNoAnswer) && isTPU(plugin):
			return nil, noAnswerOfTPU(patience)
		case !saysBusy(err):
			return nil, err
		case time.Now().Add(retryEvery).After(deadline):
			return nil, fmt.Errorf("%w for %s: %w%s", ErrBusy, patience, err, namedHolder())
		}
		busy = err
		if !logged {
			waits(fmt.Errorf("%w: %w%s", ErrBusy, err, namedHolder()))
			slog.Warn("the device is busy, trying again", "error", err, "until", deadline.Format(time.TimeOnly))
		}
		if err := wait.Sleep(ctx, retryEvery); err != nil {
			return nil, err
		}
	}
}

// noAnswerOfTPU finds out why libtpu did not answer: a process uses the chips, or libtpu waits for other hosts of a slice.
func noAnswerOfTPU(patience time.Duration) error {
	if holders := thisHost.Holders(tpu.VisibleChip(os.LookupEnv)); len(holders) > 0 {
		return fmt.Errorf("%w: no answer within %s, and %s", ErrBusy, patience, holders[0])
	}
	placed := strings.Join(tpu.Placed(os.LookupEnv), " ")
	n := tpu.Processes(os.LookupEnv)
	switch {
	case n > 1:
		return fmt.Errorf("%w: %s makes libtpu wait for %d processes, and one training process does not share a slice; unset it",
			errNoAnswer, placed, n)
	case placed == "":
		return fmt.Errorf("%w: nothing tells libtpu that it is alone, so it waits for the other hosts of the slice; "+
			"no chip is visible in /dev: set TPU_PROCESS_BOUNDS=1,1,1, TPU_CHIPS_PER_PROCESS_BOUNDS and TPU_VISIBLE_CHIPS",
			errNoAnswer)
	}
	return fmt.Errorf("%w although %s and no process is seen to hold a chip (those of other users are not seen)", errNoAnswer, placed)
}

func namedHolder() string {
	if holders := thisHost.Holders(tpu.VisibleChip(os.LookupEnv)); len(holders) > 0 {
		return "; " + holders[0].String()
	}
	return ""
}
