package guard

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func contextWith(r *http.Request, local net.Addr) context.Context {
	return context.WithValue(r.Context(), http.LocalAddrContextKey, local)
}

// seen is what an emulator was asked.
type seen struct {
	method, path, query, body string
	header                    http.Header
}

// storage is a guarded emulator that says what it was asked.
func storage(asked *[]seen) http.Handler {
	return Storage(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		*asked = append(*asked, seen{r.Method, r.URL.EscapedPath(), r.URL.RawQuery, string(body), r.Header})
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("X-Kept", "yes")
	}))
}

const multipartBody = "--b\r\nContent-Type: application/json\r\n\r\n{\"name\":\"%\"}\r\n--b\r\n\r\ncontent\r\n--b--\r\n"

func request(method, target string, header http.Header, body string) *http.Request {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for name, values := range header {
		r.Header[name] = values
	}
	return r
}

func TestWhatPasses(t *testing.T) {
	related := http.Header{"Content-Type": {"multipart/related; boundary=b"}}
	for _, c := range []struct {
		name   string
		r      *http.Request
		method string // where the emulator sees another
		want   string // path, query
		body   string // where it sees another
	}{
		{name: "create", r: request("POST", "/storage/v1/b?project=p", nil, `{"name":"abc","location":"x"}`), want: "/storage/v1/b?project=p",
			body: `{"name":"abc"}`},
		{name: "bucket", r: request("GET", "/storage/v1/b/abc?alt=json", nil, ""), want: "/storage/v1/b/abc?alt=json"},
		{name: "list", r: request("GET", "/storage/v1/b/abc/o?prefix=a%2F", nil, ""), want: "/storage/v1/b/abc/o?prefix=a%2F"},
		{name: "read", r: request("GET", "/storage/v1/b/abc/o/a%2Fb?alt=media", nil, ""), want: "/storage/v1/b/abc/o/a%2Fb?alt=media"},
		{name: "read, slashes bare", r: request("GET", "/storage/v1/b/abc/o/a/b/acl", nil, ""), want: "/storage/v1/b/abc/o/a%2Fb%2Facl?"},
		{name: "a percent sign", r: request("GET", "/storage/v1/b/abc/o/50%25", nil, ""), want: "/storage/v1/b/abc/o/50%25?"},
		{name: "head", r: request("HEAD", "/storage/v1/b/abc/o/a", nil, ""), want: "/storage/v1/b/abc/o/a?"},
		{name: "delete", r: request("DELETE", "/storage/v1/b/abc/o/a%2Fb?generation=1", nil, ""), want: "/storage/v1/b/abc/o/a%2Fb?generation=1"},
		{name: "media", r: request("POST", "/upload/storage/v1/b/abc/o?uploadType=media&name=a/b", nil, "x"),
			want: "/upload/storage/v1/b/abc/o?name=a%2Fb&uploadType=media"},
		{name: "multipart", r: request("POST", "/upload/storage/v1/b/abc/o?uploadType=multipart&ifGenerationMatch=0", related,
			strings.Replace(multipartBody, "%", "a/b", 1)),
			want: "/upload/storage/v1/b/abc/o?ifGenerationMatch=0&name=a%2Fb&uploadType=multipart"},
		{name: "resumable", r: request("POST", "/upload/storage/v1/b/abc/o?uploadType=resumable",
			http.Header{"Content-Type": {"application/json"}}, `{"bucket":"..","name":"a"}`),
			want: "/upload/storage/v1/b/abc/o?name=a&uploadType=resumable"},
		{name: "resumable, named in the query", r: request("POST", "/upload/storage/v1/b/abc/o?uploadType=resumable&name=a", nil, ""),
			want: "/upload/storage/v1/b/abc/o?name=a&uploadType=resumable"},
		{name: "a part by POST", r: request("POST", "/upload/storage/v1/b/abc/o?uploadType=resumable&name=a&upload_id=1",
			http.Header{"Content-Type": {"application/json"}}, `{"bucket":"..","name":"../x"}`),
			method: "PUT", want: "/upload/storage/v1/b/abc/o?uploadType=resumable&upload_id=1"},
		{name: "a part by PUT", r: request("PUT", "/upload/storage/v1/b/abc/o?upload_id=1&name=../x", nil, "x"),
			want: "/upload/storage/v1/b/abc/o?uploadType=resumable&upload_id=1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			sent, err := io.ReadAll(c.r.Body)
			if err != nil {
				t.Fatal(err)
			}
			c.r.Body = io.NopCloser(strings.NewReader(string(sent)))
			c.r.Header.Set("Origin", "http://localhost")
			if c.body == "" {
				c.body = string(sent)
			}
			if c.method == "" {
				c.method = c.r.Method
			}
			var asked []seen
			w := httptest.NewRecorder()
			storage(&asked).ServeHTTP(w, c.r)
			if len(asked) != 1 {
				t.Fatalf("refused: %s", w.Body)
			}
			got := asked[0]
			if got.method != c.method || got.path+"?"+got.query != c.want || got.body != c.body {
				t.Errorf("got  %s %s?%s %q\nwant %s %s %q", got.method, got.path, got.query, got.body, c.method, c.want, c.body)
			}
			if got.header.Get("Origin") != "" {
				t.Error("the emulator sees an Origin")
			}
			if h := w.Result().Header; h.Get("Access-Control-Allow-Origin") != "" || h.Get("X-Kept") != "yes" {
				t.Errorf("headers of the answer: %v", h)
			}
		})
	}
}

// FuzzRequest holds that whatever bytes arrive, the emulator sees names that pass.
func FuzzRequest(f *testing.F) {
	for _, name := range append(badObjects, goodObjects...) {
		f.Add("GET", "/storage/v1/b/abc/o/"+name, "", "")
		f.Add("DELETE", "/storage/v1/b/"+name+"/o/x", "", "")
		f.Add("POST", "/upload/storage/v1/b/abc/o?uploadType=media&name="+name, "text/plain", "x")
		f.Add("POST", "/upload/storage/v1/b/abc/o?uploadType=media&name=a&name="+name, "text/plain", "x")
		quoted, err := json.Marshal(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add("POST", "/upload/storage/v1/b/abc/o?uploadType=resumable", "application/json", `{"name":"a","NAME":`+string(quoted)+`}`)
		f.Add("POST", "/upload/storage/v1/b/abc/o?uploadType=multipart", "multipart/related; boundary=b",
			strings.Replace(multipartBody, `"%"`, string(quoted), 1))
	}
	f.Fuzz(func(t *testing.T, method, target, contentType, body string) {
		head := method + " " + target + " HTTP/1.1\r\nHost: localhost\r\n\r\n"
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head)))
		if err != nil {
			return
		}
		r.Header.Set("Content-Type", contentType)
		r.Body = io.NopCloser(strings.NewReader(body))
		var asked []seen
		storage(&asked).ServeHTTP(httptest.NewRecorder(), r)
		for _, a := range asked {
			_, at, ok := strings.Cut(a.path, "/storage/v1/b")
			if !ok {
				t.Fatalf("%q reaches the emulator", a.path)
			}
			parts := strings.Split(strings.TrimPrefix(at, "/"), "/")
			bucket, err := url.PathUnescape(parts[0])
			good := err == nil && CheckBucket(bucket) == nil
			if at != "" && !good {
				t.Errorf("bucket %q reaches the emulator", parts[0])
			}
			if len(parts) > 3 {
				t.Errorf("path %q reaches the emulator", a.path)
			}
			if len(parts) == 3 {
				if name, err := url.PathUnescape(parts[2]); err != nil || CheckObject(name) != nil {
					t.Errorf("object %q reaches the emulator", parts[2])
				}
			}
			query, err := url.ParseQuery(a.query)
			upload := strings.HasPrefix(a.path, "/upload/") && !query.Has("upload_id")
			good = err == nil && CheckObject(query.Get("name")) == nil
			if upload && !good {
				t.Errorf("an upload to %q reaches the emulator", query.Get("name"))
			}
		}
	})
}
