package dataset

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/gomlx/go-huggingface/hub"
)

// Time limits for the Hub: until it answers, between two bytes, and between two attempts.
var (
	hubTimeout = 20 * time.Second
	hubStall   = time.Minute
	hubPause   = 2 * time.Second
)

// hubTries is the number of attempts without progress after which a download fails.
const hubTries = 4

var commitHash = regexp.MustCompile(`^[0-9a-f]{40}$`)

const hubScheme = "hf:"

// hubPart matches a part of the name of a repository or revision. Both become paths, here
// and on the Hub: therefore ".." and names that begin with a dot do not match.
var hubPart = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._+-]*$`)

// parseHub parses hf:owner/name and hf:owner/name@revision.
func parseHub(source string) (name, revision string, err error) {
	name, revision, named := strings.Cut(strings.TrimPrefix(source, hubScheme), "@")
	ok := strings.Count(name, "/") == 1 && len(source) <= 300
	parts := strings.Split(name, "/")
	if named {
		parts = append(parts, strings.Split(revision, "/")...)
	}
	for _, part := range parts {
		ok = ok && hubPart.MatchString(part) && !strings.Contains(part, "..")
	}
	if !ok {
		return "", "", optionsf("source %s: want hf:owner/name or hf:owner/name@revision, of letters, digits, '.', '_' and '-'", source)
	}
	return name, revision, nil
}

// fetchHub downloads train.csv and test.csv of a Hub dataset at one commit. It does not
// ask the Hub for files that are in the folder of downloads, nor for the commit of a
// branch that is recorded there.
func fetchHub(ctx context.Context, o Options, progress func(Progress)) (resolved, error) {
	name, revision, err := parseHub(o.Source)
	if err != nil {
		return resolved{}, err
	}
	dir, err := o.downloads()
	if err != nil {
		return resolved{}, err
	}
	commit, err := hubCommit(ctx, name, revision, dir)
	if err == nil && !commitHash.MatchString(commit) {
		err = fmt.Errorf("revision %q: the Hub answered with commit %q", revision, commit)
	}
	var paths [2]string
	if err == nil {
		for i, file := range []string{"train.csv", "test.csv"} {
			d := hubFile{
				url:   fmt.Sprintf("%s/datasets/%s/resolve/%s/%s", hubEndpoint(), name, commit, file),
				path:  filepath.Join(dir, "hub-files", strings.ReplaceAll(name, "/", "--"), commit, file),
				token: os.Getenv("HF_TOKEN"), progress: progress,
			}
			if err = d.ensure(ctx); err != nil {
				err = fmt.Errorf("%s: %w", file, err)
				break
			}
			paths[i] = d.path
		}
	}
	if err != nil {
		err = fmt.Errorf("download of %s from the Hugging Face Hub: %w; without network, get train.csv and test.csv of "+
			"https://huggingface.co/datasets/%s on another machine and give their folder as the source, or use source %q",
			name, err, name, SourceGenerate)
		if refused(err) {
			return resolved{}, inputf("%v", err)
		}
		return resolved{}, err
	}
	return resolved{train: paths[0], test: paths[1], revision: commit}, nil
}

func hubEndpoint() string {
	if e := os.Getenv("HF_ENDPOINT"); e != "" {
		return strings.TrimSuffix(e, "/")
	}
	return "https://huggingface.co"
}

// hubCommit returns the commit that a revision (branch, tag or commit) points to.
func hubCommit(ctx context.Context, name, revision, dir string) (string, error) {
	if commitHash.MatchString(revision) {
		return revision, nil
	}
	repo := hub.New(name).WithType(hub.RepoTypeDataset).WithProgressBar(false).
		WithCacheDir(filepath.Join(dir, "hub")).WithAuth(os.Getenv("HF_TOKEN"))
	if revision != "" {
		repo = repo.WithRevision(revision)
	}
	if err := within(ctx, hubTimeout, func() error { return repo.DownloadInfo(false) }); err != nil {
		return "", err
	}
	return repo.Info().CommitHash, nil
}

// within runs f, which takes no context, and stops waiting for it after d or when ctx ends.
func within(ctx context.Context, d time.Duration, f func() error) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("no answer: %w", ctx.Err())
	}
}

// refused says whether the Hub answered that something does not exist or that access is denied.
func refused(err error) bool {
	return errors.Is(err, errRefused) || regexp.MustCompile(`bad status code 40[134]`).MatchString(err.Error())
}

var errRefused = errors.New("the Hub refuses")

// hubFile is a file of a repository at a commit. An interrupted download is resumed, and
// the contents are checked against the Hub's checksum.
type hubFile struct {
	url, path, token string
	progress         func(Progress)
}

// hubMeta is the Hub's information about a file.
type hubMeta struct {
	size   int64  // in bytes, -1 = unknown
	sha256 string // empty for small files, for which the Hub has another checksum
}

func (h hubFile) ensure(ctx context.Context) error {
	if err := os.MkdirAll(filepath.Dir(h.path), 0o755); err != nil {
		return diskError(err)
	}
	unlock, err := lock(ctx, h.path+".lock")
	if err != nil {
		return err
	}
	defer unlock()
	if ok, err := h.intact(ctx); ok || ctx.Err() != nil {
		return err
	}
	meta, err := h.stat(ctx)
	if err != nil {
		return err
	}
	part := h.path + ".part"
	for spoiled := false; ; spoiled = true {
		if err := h.download(ctx, part, meta.size); err != nil {
			return err
		}
		sum, err := hashFile(ctx, part)
		if err != nil {
			return err
		}
		if meta.sha256 == "" || sum == meta.sha256 {
			if err := os.WriteFile(h.path+".sha256", []byte(sum), 0o644); err != nil {
				return diskError(err)
			}
			return os.Rename(part, h.path)
		}
		if err := os.Remove(part); err != nil {
			return err
		}
		if spoiled {
			return fmt.Errorf("two downloads have another SHA-256 than the Hub says (%s, want %s)", sum, meta.sha256)
		}
	}
}

// intact says whether the file exists with the contents that were downloaded.
func (h hubFile) intact(ctx context.Context) (bool, error) {
	want, err := os.ReadFile(h.path + ".sha256")
	if err != nil {
		return false, err
	}
	sum, err := hashFile(ctx, h.path)
	return err == nil && sum == string(want), err
}

// stat asks for size and checksum. The Hub sends them with the redirect to the storage of
// the file; therefore only redirects within the Hub are followed.
func (h hubFile) stat(ctx context.Context) (hubMeta, error) {
	ctx, cancel := context.WithTimeout(ctx, hubTimeout)
	defer cancel()
	resp, err := h.request(ctx, http.MethodHead, "", func(req *http.Request, via []*http.Request) error {
		if req.URL.Host != via[0].URL.Host || req.Response.Header.Get(hub.HeaderXLinkedETag) != "" || len(via) > 5 {
			return http.ErrUseLastResponse
		}
		return nil
	})
	if err != nil {
		return hubMeta{}, err
	}
	resp.Body.Close()
	m := hubMeta{size: resp.ContentLength}
	if resp.StatusCode >= 300 {
		m.size = -1 // the length is that of the redirect's body
	}
	if s := resp.Header.Get(hub.HeaderXLinkedSize); s != "" {
		if m.size, err = strconv.ParseInt(s, 10, 64); err != nil {
			return m, fmt.Errorf("the Hub says that its size is %q", s)
		}
	}
	tag := resp.Header.Get(hub.HeaderXLinkedETag)
	if tag == "" {
		tag = resp.Header.Get("ETag")
	}
	if tag = strings.Trim(strings.TrimPrefix(tag, "W/"), `"`); len(tag) == hex.EncodedLen(sha256.Size) {
		m.sha256 = tag
	}
	return m, nil
}

func (h hubFile) request(
	ctx context.Context, method, ranges string, redirect func(*http.Request, []*http.Request) error,
) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, h.url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept-Encoding", "identity")
	if h.token != "" {
		req.Header.Set("Authorization", "Bearer "+h.token)
	}
	if ranges != "" {
		req.Header.Set("Range", ranges)
	}
	resp, err := (&http.Client{CheckRedirect: redirect}).Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 400 {
		resp.Body.Close()
		if resp.StatusCode < 500 && resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusRequestedRangeNotSatisfiable {
			return nil, fmt.Errorf("%w: %s", errRefused, resp.Status)
		}
		return nil, fmt.Errorf("the Hub answers %s", resp.Status)
	}
	return resp, nil
}

// download fills the file part up to size bytes and resumes after interruptions. If the
// size is unknown (-1), every attempt starts from the beginning.
func (h hubFile) download(ctx context.Context, part string, size int64) error {
	f, err := os.OpenFile(part, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return diskError(err)
	}
	defer f.Close()
	for tries := 0; ; tries++ {
		at, err := f.Seek(0, io.SeekEnd)
		if err == nil && at > size {
			at, err = 0, f.Truncate(0)
		}
		if err != nil {
			return err
		}
		if at == size {
			return f.Close()
		}
		n, err := h.goOn(ctx, f, at, size)
		var disk *os.PathError
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errRefused) || errors.As(err, &disk):
			return diskError(err)
		case err == nil && size < 0:
			return f.Close()
		case err == nil && n > 0:
			tries = 0
			continue
		case err == nil:
			err = io.ErrUnexpectedEOF
		}
		if n > 0 {
			tries = 0
		}
		if tries == hubTries {
			return fmt.Errorf("cut %d times after %d of %d bytes: %w", tries+1, at, size, err)
		}
		select {
		case <-time.After(hubPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// goOn appends the bytes from offset `at` on to f. It returns the new length.
func (h hubFile) goOn(ctx context.Context, f *os.File, at, size int64) (int64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	dog := time.AfterFunc(hubStall, func() { cancel(fmt.Errorf("nothing came for %s", hubStall)) })
	defer dog.Stop()
	ranges := ""
	if at > 0 {
		ranges = fmt.Sprintf("bytes=%d-", at)
	}
	resp, err := h.request(ctx, http.MethodGet, ranges, nil) //nolint:bodyclose // the linter loses it in the closure below
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if from := fmt.Sprintf("bytes %d-", at); at > 0 && !strings.HasPrefix(resp.Header.Get("Content-Range"), from) {
		at = 0 // the server sends the whole file
		if err := f.Truncate(0); err != nil {
			return 0, err
		}
	}
	if _, err := f.Seek(at, io.SeekStart); err != nil {
		return 0, err
	}
	n, err := io.Copy(f, readerFunc(func(p []byte) (int, error) {
		n, err := resp.Body.Read(p)
		dog.Reset(hubStall)
		at += int64(n)
		h.progress(Progress{Stage: "download", Done: at, Total: max(size, 0)})
		return n, err
	}))
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	return n, err
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
