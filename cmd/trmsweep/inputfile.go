package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// readInput reads the whole of a file or of a pipe, or of standard input, which is "-".
// Devices, some of which have no end, are refused. The end of ctx ends the wait for a
// pipe that nobody writes to, though the read may still be under way behind it.
func readInput(ctx context.Context, name string) ([]byte, error) {
	if name != "-" {
		st, err := os.Stat(name)
		if err != nil {
			return nil, err
		}
		if mode := st.Mode(); !mode.IsRegular() && mode&fs.ModeNamedPipe == 0 {
			return nil, fmt.Errorf("%s is neither a file nor a pipe (%s); name a file", name, mode)
		}
	}
	type result struct {
		data []byte
		err  error
	}
	read := make(chan result, 1)
	go func() {
		if name == "-" {
			data, err := io.ReadAll(os.Stdin)
			read <- result{data, err}
			return
		}
		data, err := os.ReadFile(name)
		read <- result{data, err}
	}()
	select {
	case r := <-read:
		return r.data, r.err
	case <-ctx.Done():
		return nil, fmt.Errorf("read %s: %w", name, ctx.Err())
	}
}
