//go:build !amd64

package kernel

// Best returns the strongest level of this machine.
func Best() Level { return Generic }

func useLevel(Level) {}
