package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// readInput reads the whole of a file or of a pipe, or of standard input, which is "-".
// Devices are refused, and so is what has more bytes than most: a pipe may have no end. The end of ctx ends the wait for a
// pipe that nobody writes to, though the read may still be under way behind it.
func readInput(ctx context.Context, name string, most int64) ([]byte, error) {
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
		data, err := readAtMost(name, most)
		read <- result{data, err}
	}()
	select {
	case r := <-read:
		return r.data, r.err
	case <-ctx.Done():
		return nil, fmt.Errorf("read %s: %w", name, ctx.Err())
	}
}

func readAtMost(name string, most int64) ([]byte, error) {
	in := os.Stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, most+1))
	if err == nil && int64(len(data)) > most {
		return nil, fmt.Errorf("%s has more than %d bytes, which is more than it can need; name another file", name, most)
	}
	return data, err
}
