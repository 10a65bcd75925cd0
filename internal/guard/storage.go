package guard

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"path"
	"strings"
)

// Storage passes the requests that trmsweep needs to a storage emulator: those of Google's
// JSON API that create and show a bucket, and list, read, upload and delete objects. It
// refuses all others, for example /_internal/, the XML API, copies, compositions, batches
// and forms. It refuses names that CheckBucket and CheckObject reject, in every place of a
// request that may contain a name. It writes the checked names into the place that the
// emulator reads first. It removes the Access-Control headers from answers, so that pages
// of other origins cannot read them.
func Storage(emulator http.Handler) http.Handler {
	mux := http.NewServeMux()
	pass := func(pattern string, check func(*http.Request) error) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			r = r.Clone(r.Context())
			if err := check(r); err != nil {
				http.Error(w, "refused by the storage emulator: "+err.Error(), http.StatusBadRequest)
				return
			}
			r.Header.Del("Origin")
			answer := &noCORS{ResponseWriter: w}
			emulator.ServeHTTP(answer, r)
			answer.begin()
		})
	}
	pass("POST /storage/v1/b", checkCreate)
	pass("GET /storage/v1/b/{bucket}", func(r *http.Request) error { return checkPath(r, "/storage/v1/b", "") })
	pass("GET /storage/v1/b/{bucket}/o", func(r *http.Request) error { return checkPath(r, "/storage/v1/b", "/o") })
	pass("GET /storage/v1/b/{bucket}/o/{object...}", checkObjectPath)
	pass("DELETE /storage/v1/b/{bucket}/o/{object...}", checkObjectPath)
	pass("POST /upload/storage/v1/b/{bucket}/o", checkUpload)
	pass("PUT /upload/storage/v1/b/{bucket}/o", checkChunk)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		text := fmt.Sprintf("refused by the storage emulator: it does not serve %s %s, as trmsweep has no need of it",
			r.Method, r.URL.EscapedPath())
		http.Error(w, text, http.StatusForbidden)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p := r.URL.EscapedPath(); p != path.Clean(p) { // the mux would answer with a redirect
			http.Error(w, fmt.Sprintf("refused by the storage emulator: path %q has empty, . or .. parts", p), http.StatusBadRequest)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// checkPath checks the bucket in the path.
func checkPath(r *http.Request, prefix, suffix string) error {
	bucket := r.PathValue("bucket")
	if err := CheckBucket(bucket); err != nil {
		return err
	}
	setPath(r, prefix+"/"+bucket+suffix, "")
	return nil
}

// checkObjectPath checks the bucket and the object in the path.
func checkObjectPath(r *http.Request) error {
	object := r.PathValue("object")
	if err := CheckObject(object); err != nil {
		return err
	}
	if err := checkPath(r, "/storage/v1/b", "/o/"); err != nil {
		return err
	}
	setPath(r, r.URL.Path, object)
	return nil
}

// setPath gives the request a path in one spelling: a prefix that needs no escapes, and an object.
func setPath(r *http.Request, prefix, object string) {
	r.URL = &url.URL{Path: prefix + object, RawPath: prefix + url.PathEscape(object), RawQuery: r.URL.RawQuery}
	r.RequestURI = r.URL.RequestURI()
}

// checkCreate checks the creation of a bucket, which the body names.
func checkCreate(r *http.Request) error {
	name, err := decodeName(io.LimitReader(r.Body, maxMetadata))
	if err != nil {
		return err
	}
	if err := CheckBucket(name); err != nil {
		return err
	}
	body, err := json.Marshal(map[string]string{"name": name})
	setBody(r, bytes.NewReader(body))
	return err
}

// checkUpload checks the beginning of an upload, or a later part of one. The object's name
// is in the query, or else in the JSON at the beginning of the body. It is put into the
// query, which the emulator prefers.
func checkUpload(r *http.Request) error {
	query := r.URL.Query()
	if query.Has("upload_id") {
		return checkChunk(r)
	}
	if err := checkEncoding(r); err != nil {
		return err
	}
	if len(query["name"]) > 1 {
		return errors.New("an upload with more than one name")
	}
	name := query.Get("name")
	kind := query.Get("uploadType")
	var err error
	switch {
	case kind == "multipart" && name == "":
		name, err = nameInPart(r)
	case kind == "resumable" && name == "":
		name, err = nameInBody(r)
	case kind != "multipart" && kind != "resumable" && kind != "media":
		err = fmt.Errorf("uploadType %q: want media, multipart or resumable", kind)
	}
	if err == nil {
		err = CheckObject(name)
	}
	if err != nil {
		return err
	}
	if kind == "resumable" {
		r.Header.Del("Content-Type") // with a JSON type, the emulator would prefer the names in the body
	}
	query.Set("name", name)
	r.URL.RawQuery = query.Encode()
	return checkPath(r, "/upload/storage/v1/b", "/o")
}

// checkChunk checks a part of a resumable upload, whose object was named at its beginning.
func checkChunk(r *http.Request) error {
	r.Method = http.MethodPut // a POST with a body like JSON would begin another upload
	ids := r.URL.Query()["upload_id"]
	if len(ids) != 1 {
		return errors.New("a part of a resumable upload without one upload_id")
	}
	r.URL.RawQuery = url.Values{"uploadType": {"resumable"}, "upload_id": ids}.Encode()
	if err := checkEncoding(r); err != nil {
		return err
	}
	return checkPath(r, "/upload/storage/v1/b", "/o")
}

// checkEncoding refuses compressed bodies, because the emulator would read other bytes than those that were checked.
func checkEncoding(r *http.Request) error {
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" {
		return fmt.Errorf("a body with Content-Encoding %q", encoding)
	}
	return nil
}

// maxMetadata is the greatest number of bytes before the end of the name in a body.
const maxMetadata = 1 << 20

// decodeName reads the name in the JSON of an upload or of a new bucket.
func decodeName(r io.Reader) (string, error) {
	var metadata struct {
		Name string `json:"name"`
	}
	if err := json.NewDecoder(r).Decode(&metadata); err != nil {
		return "", fmt.Errorf("read the name in the metadata, JSON of at most %d bytes: %w", maxMetadata, err)
	}
	return metadata.Name, nil
}

// nameInBody reads the name at the beginning of the body. The body can still be read whole afterwards.
func nameInBody(r *http.Request) (string, error) {
	body := r.Body
	var read bytes.Buffer
	name, err := decodeName(io.TeeReader(io.LimitReader(body, maxMetadata), &read))
	setBody(r, io.MultiReader(&read, body))
	return name, err
}

// nameInPart reads the name in the first part of a multipart body. The body can still be read whole afterwards.
func nameInPart(r *http.Request) (string, error) {
	_, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return "", fmt.Errorf("read the Content-Type of a multipart upload: %w", err)
	}
	body := r.Body
	var read bytes.Buffer
	part, err := multipart.NewReader(io.TeeReader(io.LimitReader(body, maxMetadata), &read), params["boundary"]).NextPart()
	if err != nil {
		return "", fmt.Errorf("read the first part of a multipart upload: %w", err)
	}
	name, err := decodeName(part)
	setBody(r, io.MultiReader(&read, body))
	return name, err
}

// setBody replaces the body of the request. Closing it still closes the original body.
func setBody(r *http.Request, body io.Reader) {
	r.Body = struct {
		io.Reader
		io.Closer
	}{body, r.Body}
}

// noCORS removes the headers by which an emulator lets every page read its answers.
type noCORS struct {
	http.ResponseWriter
	begun bool
}

// begin is called before the headers are sent.
func (w *noCORS) begin() {
	if w.begun {
		return
	}
	w.begun = true
	for name := range w.Header() {
		if strings.HasPrefix(name, "Access-Control-") {
			w.Header().Del(name)
		}
	}
}

func (w *noCORS) WriteHeader(status int) {
	w.begin()
	w.ResponseWriter.WriteHeader(status)
}

func (w *noCORS) Write(p []byte) (int, error) {
	w.begin()
	return w.ResponseWriter.Write(p)
}

// Unwrap is used by http.ResponseController.
func (w *noCORS) Unwrap() http.ResponseWriter { return w.ResponseWriter }
