package dataset

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/klauspost/compress/zstd"
)

// SourceStdin is the source that is read from Options.Stdin.
const SourceStdin = "-"

// openRegular opens a regular file for reading. It refuses pipes and devices without
// waiting for them, because reading them may block for ever or never end. Files of /proc
// have no size, may block too, or may hold private data: reading them gives nothing.
func openRegular(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: path, Err: fmt.Errorf("is %s, want a regular file", kindOf(st.Mode()))}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	if st.Size() == 0 {
		f.Close()
		return os.Open(os.DevNull)
	}
	return f, nil
}

func kindOf(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "a folder"
	case m&fs.ModeSymlink != 0:
		return "a symbolic link"
	case m&fs.ModeNamedPipe != 0:
		return "a pipe"
	case m&fs.ModeSocket != 0:
		return "a socket"
	case m&fs.ModeDevice != 0:
		return "a device"
	case m.IsRegular():
		return "a file"
	}
	return "something else"
}

// once says whether the path can be read only once (stdin, a pipe).
func once(path string) bool {
	if path == SourceStdin {
		return true
	}
	st, err := os.Stat(path)
	return err == nil && st.Mode()&(fs.ModeNamedPipe|fs.ModeSocket) != 0
}

// stream reads stdin or a pipe. Their reads cannot be cancelled: after the end of ctx, reads
// of the result fail, although a read of the pipe may still be under way.
func stream(ctx context.Context, path string, stdin io.Reader) io.ReadCloser {
	r, w := io.Pipe()
	stop := context.AfterFunc(ctx, func() { w.CloseWithError(ctx.Err()) })
	go func() {
		defer stop()
		in := stdin
		if path != SourceStdin {
			f, err := os.Open(path)
			if err != nil {
				w.CloseWithError(err)
				return
			}
			defer f.Close()
			in = f
		}
		_, err := io.Copy(w, in)
		w.CloseWithError(err)
	}()
	return r
}

// spool copies a source that can be read only once into a file of the folder of downloads.
func spool(ctx context.Context, o Options, path string) (string, error) {
	dir, err := o.downloads()
	if err != nil {
		return "", err
	}
	dir = filepath.Join(dir, "spooled")
	evictFiles(dir, "") // removes files of processes that were killed
	in := stream(ctx, path, o.Stdin)
	defer in.Close()
	limited := &io.LimitedReader{R: in, N: CacheLimit + 1}
	file, err := copyToPart(dir, limited)
	switch {
	case ctx.Err() != nil:
		return file, err
	case err != nil:
		return "", fmt.Errorf("copy source %s: %w", path, err)
	case limited.N == 0:
		tooLong := inputf("source %s has more than %d bytes, the most that is kept of sources in %s; put it into a file, and give that",
			path, CacheLimit, dir)
		return "", errors.Join(tooLong, os.Remove(file))
	}
	return file, nil
}

// packing returns the compression of a file, by its name or else by its first bytes; "" if there is none.
func packing(name string, head []byte) string {
	switch {
	case strings.HasSuffix(name, ".gz"), bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		return "gzip"
	case strings.HasSuffix(name, ".zst"), bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return "zstd"
	}
	return ""
}

// unpack returns a reader that decompresses gzip and zstd. Closing it does not close r.
func unpack(name string, r io.Reader) (io.ReadCloser, error) {
	br := bufio.NewReaderSize(r, 1<<16)
	head, err := br.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch packing(name, head) {
	case "gzip":
		return gzip.NewReader(br)
	case "zstd":
		z, err := zstd.NewReader(br, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(256<<20))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	}
	return io.NopCloser(br), nil
}

// sourceFile is an open file of a source. Reading it gives the decompressed content.
type sourceFile struct {
	io.ReadCloser
	file *os.File
	raw  io.Reader
	sum  hash.Hash
}

// openSource opens a file of a source.
func openSource(path string) (*sourceFile, error) {
	f, err := openRegular(path)
	if err != nil {
		return nil, inputf("read source: %v", err)
	}
	s := &sourceFile{file: f, sum: sha256.New()}
	s.raw = io.TeeReader(f, s.sum)
	if s.ReadCloser, err = unpack(path, s.raw); err != nil {
		f.Close()
		return nil, inputf("read source %s: %v", path, err)
	}
	return s, nil
}

func (s *sourceFile) Close() error {
	return errors.Join(s.ReadCloser.Close(), s.file.Close())
}

// unchanged returns an error if the bytes that were read do not have this SHA-256.
func (s *sourceFile) unchanged(want string) error {
	if _, err := io.Copy(io.Discard, s.raw); err != nil {
		return inputf("read source %s: %v", s.file.Name(), err)
	}
	if hex.EncodeToString(s.sum.Sum(nil)) != want {
		return inputf("source %s was changed while it was read; build again when nothing writes to it any more", s.file.Name())
	}
	return nil
}

// createPart creates a temporary file that will be renamed. It has the usual permissions, unlike files of os.CreateTemp.
func createPart(dir string) (*os.File, error) {
	return withFreeName(func(suffix string) (*os.File, error) {
		return os.OpenFile(filepath.Join(dir, partMark+suffix), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	})
}
