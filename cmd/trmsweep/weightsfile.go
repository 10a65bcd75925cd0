package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/google/renameio/v2"
)

// streams says whether a name to write to is standard output.
func streams(name string) bool { return name == "-" || name == "/dev/stdout" }

// writeWeights writes a safetensors file; see writeOver.
func writeWeights(name string, data []byte) error {
	return writeOver(name, data, "safetensors", isWeights)
}

// writePicture writes an SVG file; see writeOver.
func writePicture(name string, data []byte) error {
	return writeOver(name, data, "SVG", isPicture)
}

// writeOver writes a file of a kind. A new file, or one that takes the place of a file
// of the kind (ours says which are) or an empty file, is whole or not there at all; into
// a pipe or a character device it is written as it comes. Everything else is refused: it
// was not made here.
func writeOver(name string, data []byte, kind string, ours func(name string, size int64) (bool, error)) error {
	there, err := os.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return replaceFile(name, data)
	}
	if err != nil {
		return usagef("write %s: %w", name, err)
	}
	mode := there.Mode()
	if mode&fs.ModeSymlink != 0 {
		behind, err := os.Stat(name)
		if err != nil || !isStream(behind.Mode()) { // as /dev/fd/3 leads to a pipe
			return usagef("write %s: it is a symbolic link; name the file itself", name)
		}
		mode = behind.Mode()
	}
	switch {
	case isStream(mode):
		return writeStream(name, data)
	case mode.IsDir():
		return usagef("write %s: it is a folder; name a file", name)
	case !mode.IsRegular():
		return usagef("write %s: it is neither a file nor a pipe (%s); name a file", name, mode)
	}
	if ours, err := ours(name, there.Size()); err != nil {
		return usagef("write %s: %w", name, err)
	} else if !ours {
		return usagef("write %s: it exists and is no %s file: nothing was written; name another, or remove it first", name, kind)
	}
	return replaceFile(name, data)
}

// isStream says whether what is written to a file of this mode goes on elsewhere: pipes and character devices.
func isStream(mode fs.FileMode) bool { return mode&(fs.ModeNamedPipe|fs.ModeCharDevice) != 0 }

func writeStream(name string, data []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return usagef("write %s: %w", name, err)
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// isWeights says whether a regular file is empty or begins as safetensors does: the
// length of a JSON object, which fits into the file, and the object.
func isWeights(name string, size int64) (bool, error) {
	if size == 0 {
		return true, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	var begin [9]byte
	if _, err := io.ReadFull(f, begin[:]); err != nil {
		return false, nil // too short
	}
	length := binary.LittleEndian.Uint64(begin[:])
	return length >= 2 && length <= uint64(size-8) && bytes.HasPrefix(begin[8:], []byte("{")), nil
}

// isPicture says whether a regular file is empty or begins as our pictures do.
func isPicture(name string, size int64) (bool, error) {
	if size == 0 {
		return true, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	begin := make([]byte, 4)
	_, err = io.ReadFull(f, begin)
	return err == nil && string(begin) == "<svg", nil
}

// replaceFile writes a file so that it is whole or not there at all.
func replaceFile(name string, data []byte) error {
	f, err := renameio.NewPendingFile(name, renameio.WithPermissions(0o644))
	if err != nil {
		return usagef("write %s: %w", name, err)
	}
	defer func() { _ = f.Cleanup() }() // does nothing once the file has its name
	if _, err := f.Write(data); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := f.CloseAtomicallyReplace(); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}
