package main

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	tlog "go.temporal.io/server/common/log"

	"trmsweep/internal/guard"
)

// send sends a request as it is written, which Go's client would clean, and returns the answer.
func send(t *testing.T, address, method, target, headers, body string) (status int, header http.Header, answer string) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if !strings.Contains(headers, "Host:") {
		headers += "Host: " + address + "\r\n"
	}
	_, err = fmt.Fprintf(c, "%s %s HTTP/1.1\r\n%sContent-Length: %d\r\nConnection: close\r\n\r\n%s", method, target, headers, len(body), body)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(data)
}

// storageOn serves the emulator as a stack does, in this process.
func storageOn(t *testing.T, state string) (address string) {
	t.Helper()
	l, err := listen(options{ip: "127.0.0.1", freePorts: true, storageOnly: true}, ports{})
	if err != nil {
		t.Fatal(err)
	}
	g, err := guard.New()
	if err != nil {
		t.Fatal(err)
	}
	s := &stack{ip: "127.0.0.1", listeners: l, ports: l.ports(), state: state, logger: tlog.NewNoopLogger(), guard: g,
		failed: make(chan error, 1)}
	if err := s.startGCS(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.stop)
	return l.gcs.Addr().String()
}

// tree is every file below a folder with its content.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			fmt.Fprintln(&b, path)
			return err
		}
		data, err := os.ReadFile(path)
		fmt.Fprintf(&b, "%s %q\n", path, data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

const (
	jsonType = "Content-Type: application/json\r\n"
	related  = "Content-Type: multipart/related; boundary=b\r\n"
	form     = "Content-Type: multipart/form-data; boundary=b\r\n"
)

// multipartOf is the body of a multipart upload.
func multipartOf(metadata string) string {
	return "--b\r\n" + jsonType + "\r\n" + metadata + "\r\n--b\r\nContent-Type: text/plain\r\n\r\nPWNED\r\n--b--\r\n"
}

func formOf(key string) string {
	return "--b\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\n" + key +
		"\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\nPWNED\r\n--b--\r\n"
}

func batchOf(request string) string {
	return "--b\r\nContent-Type: application/http\r\nContent-ID: <1>\r\n\r\n" + request + "\r\n\r\nPWNED\r\n--b--\r\n"
}

// No request, whatever its kind, reaches a file beside the bucket or gets out what lies there.
func TestAttacks(t *testing.T) {
	dir := t.TempDir()
	// The target has the emulator's attributes, as one that it wrote itself, so that it would be served and deleted.
	outside, inside := storageOn(t, dir), storageOn(t, filepath.Join(dir, "state"))
	put := func(address, bucket, name, content string) {
		t.Helper()
		status, _, answer := send(t, address, "POST", "/upload/storage/v1/b/"+bucket+"/o?uploadType=media&name="+name, "", content)
		if status != http.StatusOK {
			t.Fatalf("put %s: %d %s", name, status, answer)
		}
	}
	put(outside, bucket, "target", "SECRET")
	put(inside, bucket, "good", "good")
	const up = "../../../gcs/" + bucket + "/target" // from state/gcs/trmsweep
	escaped, twice := url.PathEscape(up), url.PathEscape(url.PathEscape(up))
	const object, upload = "/storage/v1/b/" + bucket + "/o/", "/upload/storage/v1/b/" + bucket + "/o"
	before := tree(t, dir)

	for _, a := range []struct{ name, method, target, headers, body string }{
		{"read, escaped", "GET", object + escaped + "?alt=media", "", ""},
		{"read, bare", "GET", object + up + "?alt=media", "", ""},
		{"read, dots escaped", "GET", object + strings.ReplaceAll(up, ".", "%2e") + "?alt=media", "", ""},
		{"read, escaped twice", "GET", object + twice + "?alt=media", "", ""},
		{"read, after a good part", "GET", object + "good%2F..%2F" + escaped + "?alt=media", "", ""},
		{"read, by the download path", "GET", "/download" + object + escaped, "", ""},
		{"read, by the XML API", "GET", "/" + bucket + "/" + escaped, "", ""},
		{"read, by the XML API, bare", "GET", "/" + bucket + "/" + up, "", ""},
		{"read the attributes", "GET", object + escaped, "", ""},
		{"read, target in absolute form", "GET", "http://127.0.0.1" + object + escaped + "?alt=media", "", ""},
		{"head", "HEAD", object + escaped, "", ""},
		{"list a bucket above", "GET", "/storage/v1/b/../o", "", ""},
		{"list a bucket above, escaped", "GET", "/storage/v1/b/%2e%2e/o", "", ""},
		{"list a bucket elsewhere", "GET", "/storage/v1/b/..%2F..%2Fgcs/o", "", ""},
		{"list by the XML API", "GET", "/%2e%2e/", "Host: 127.0.0.1\r\n", ""},
		{"delete, escaped", "DELETE", object + escaped, "", ""},
		{"delete, bare", "DELETE", object + up, "", ""},
		{"delete, escaped twice", "DELETE", object + twice, "", ""},
		{"delete by the XML API", "DELETE", "/" + bucket + "/" + escaped, "Host: 127.0.0.1\r\n", ""},
		{"delete in a bucket above", "DELETE", "/storage/v1/b/%2e%2e/o/gcs%2Ftrmsweep%2Fgood", "", ""},
		{"delete a bucket", "DELETE", "/storage/v1/b/%2e%2e", "", ""},
		{"media", "POST", upload + "?uploadType=media&name=" + up, "", "PWNED"},
		{"media, escaped", "POST", upload + "?uploadType=media&name=" + escaped, "", "PWNED"},
		{"media, escaped twice", "POST", upload + "?uploadType=media&name=" + twice, "", "PWNED"},
		{"media, two names", "POST", upload + "?uploadType=media&name=ok&name=" + escaped, "", "PWNED"},
		{"media, two names, the bad one first", "POST", upload + "?uploadType=media&name=" + escaped + "&name=ok", "", "PWNED"},
		{"media, absolute", "POST", upload + "?uploadType=media&name=" + url.QueryEscape(filepath.Join(dir, "new")), "", "PWNED"},
		{"media, backslashes", "POST", upload + `?uploadType=media&name=..%5C..%5Cx`, "", "PWNED"},
		{"media, a folder", "POST", upload + "?uploadType=media&name=..%2F..%2Fnew%2F", "", ""},
		{"media, NUL", "POST", upload + "?uploadType=media&name=a%00b", "", "PWNED"},
		{"media, newline", "POST", upload + "?uploadType=media&name=a%0Ab", "", "PWNED"},
		{"media, an empty part", "POST", upload + "?uploadType=media&name=a%2F%2Fb", "", "PWNED"},
		{"media, no name", "POST", upload + "?uploadType=media", "", "PWNED"},
		{"media into a bucket above", "POST", "/upload/storage/v1/b/%2e%2e/o?uploadType=media&name=new", "", "PWNED"},
		{"media into a bucket above, bare", "POST", "/upload/storage/v1/b/../o?uploadType=media&name=new", "", "PWNED"},
		{"media, compressed", "POST", upload + "?uploadType=media&name=" + escaped, "Content-Encoding: gzip\r\n", "PWNED"},
		{"multipart, name in the metadata", "POST", upload + "?uploadType=multipart", related, multipartOf(`{"name":"` + up + `"}`)},
		{"multipart, name in JSON escapes", "POST", upload + "?uploadType=multipart", related, multipartOf(`{"name":"\u002e\u002e/\u002e./x"}`)},
		{"multipart, another spelling of the key", "POST", upload + "?uploadType=multipart", related,
			multipartOf(`{"name":"ok","NAME":"` + up + `"}`)},
		{"multipart, name in the query", "POST", upload + "?uploadType=multipart&name=" + escaped, related, multipartOf(`{"name":"ok"}`)},
		{"multipart, two names in the query", "POST", upload + "?uploadType=multipart&name=ok&name=" + escaped, related, multipartOf(`{}`)},
		{"multipart, quoted-printable", "POST", upload + "?uploadType=multipart", related,
			"--b\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n{\"name\":\"=2E=2E/=2E=2E/x\"}\r\n--b\r\n\r\nPWNED\r\n--b--\r\n"},
		{"multipart, boundary as gsutil quotes it", "POST", upload + "?uploadType=multipart",
			"Content-Type: multipart/related; boundary='b='\r\n",
			strings.ReplaceAll(multipartOf(`{"name":"`+up+`"}`), "--b", "--b=")},
		{"resumable, name in the body", "POST", upload + "?uploadType=resumable", jsonType, `{"name":"` + up + `"}`},
		{"resumable, name in the query", "POST", upload + "?uploadType=resumable&name=" + escaped, jsonType, `{"name":"ok"}`},
		{"resumable, another bucket for a begun one", "POST", upload + "?uploadType=resumable&upload_id=1", jsonType,
			`{"bucket":"..","name":"new"}`},
		{"resumable, by header", "POST", upload + "?name=" + escaped, "X-Goog-Upload-Protocol: resumable\r\n", ""},
		{"resumable, two ids", "PUT", upload + "?upload_id=1&upload_id=2", "", "PWNED"},
		{"resumable, by its other path", "PUT", "/upload/resumable/1?name=" + escaped, "", "PWNED"},
		{"signed upload by the XML API", "PUT", "/" + bucket + "/" + escaped + "?X-Goog-Algorithm=x", "Host: 127.0.0.1\r\n", "PWNED"},
		{"signed upload, bare", "PUT", "/" + bucket + "/" + up + "?X-Goog-Algorithm=x", "Host: 127.0.0.1\r\n", "PWNED"},
		{"upload by the XML API", "POST", "/" + bucket + "/" + escaped + "?uploadType=media&name=" + escaped, "", "PWNED"},
		{"form", "POST", "/" + bucket, "Host: 127.0.0.1\r\n" + form, formOf(up)},
		{"copyTo", "POST", object + "good/copyTo/b/" + bucket + "/o/" + escaped, "", ""},
		{"rewriteTo", "POST", object + "good/rewriteTo/b/" + bucket + "/o/" + escaped, "", ""},
		{"rewriteTo in", "POST", object + escaped + "/rewriteTo/b/" + bucket + "/o/stolen", "", ""},
		{"rewriteTo a bucket above", "POST", object + "good/rewriteTo/b/%2e%2e/o/new", "", ""},
		{"compose", "POST", object + escaped + "/compose", jsonType, `{"sourceObjects":[{"name":"good"}]}`},
		{"compose in", "POST", object + "stolen/compose", jsonType, `{"sourceObjects":[{"name":"` + up + `"}]}`},
		{"patch", "PATCH", object + escaped, jsonType, `{"metadata":{"a":"b"}}`},
		{"update", "PUT", object + escaped, jsonType, `{"metadata":{"a":"b"}}`},
		{"ACL", "POST", object + escaped + "/acl", jsonType, `{"entity":"allUsers","role":"OWNER"}`},
		{"create a bucket above", "POST", "/storage/v1/b", jsonType, `{"name":".."}`},
		{"create a bucket elsewhere", "POST", "/storage/v1/b", jsonType, `{"name":"../../new"}`},
		{"batch", "POST", "/batch/storage/v1", "Content-Type: multipart/mixed; boundary=b\r\n",
			batchOf("DELETE " + object + escaped + " HTTP/1.1")},
		{"configuration", "PUT", "/_internal/config", jsonType, `{"publicHost":"x"}`},
		{"configuration, escaped", "PUT", "/%5Finternal/config", jsonType, `{"publicHost":"x"}`},
		{"delete all", "POST", "/_internal/delete_all", "", ""},
		{"reseed", "PUT", "/_internal/reseed", "", ""},
		{"another spelling of the path", "GET", "//storage/v1/b/" + bucket + "/o/" + escaped, "", ""},

		{"a foreign Host", "GET", object + "good?alt=media", "Host: evil.example\r\n", ""},
		{"a foreign Origin", "POST", upload + "?uploadType=media&name=new", "Origin: http://evil.example\r\nContent-Type: text/plain\r\n",
			"PWNED"},
		{"a sandboxed page", "POST", upload + "?uploadType=media&name=new", "Origin: null\r\n", "PWNED"},
		{"a preflight", "OPTIONS", object + "good", "Origin: http://evil.example\r\nAccess-Control-Request-Method: DELETE\r\n", ""},
		{"a preflight from a page of this machine", "OPTIONS", object + "good",
			"Origin: http://localhost:1\r\nAccess-Control-Request-Method: DELETE\r\n", ""},
	} {
		t.Run(a.name, func(t *testing.T) {
			status, header, answer := send(t, inside, a.method, a.target, a.headers, a.body)
			switch status {
			case http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound:
			default:
				t.Errorf("status %d: %s", status, answer)
			}
			if strings.Contains(answer, "SECRET") {
				t.Errorf("the file was read: %s", answer)
			}
			for name := range header {
				if strings.HasPrefix(name, "Access-Control-") {
					t.Errorf("the answer has %s", name)
				}
			}
			if after := tree(t, dir); after != before {
				t.Fatalf("files have changed from\n%s\nto\n%s", before, after)
			}
		})
	}

	// What is not an attack works, and no page of another origin may read the answer.
	status, header, answer := send(t, inside, "GET", object+"good?alt=media", "Origin: http://localhost:1\r\n", "")
	if status != http.StatusOK || answer != "good" || header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("a good object: %d %q %v", status, answer, header)
	}
}

// A resumable upload goes where its path and its checked name say, whatever its body says.
func TestResumableUpload(t *testing.T) {
	state := t.TempDir()
	address := storageOn(t, state)
	const upload = "/upload/storage/v1/b/" + bucket + "/o"
	status, header, answer := send(t, address, "POST", upload+"?uploadType=resumable&name=a%2Fb", jsonType, `{"bucket":"..","name":"../x"}`)
	if status != http.StatusOK {
		t.Fatalf("begin: %d %s", status, answer)
	}
	part := strings.TrimPrefix(header.Get("Location"), "http://"+address)
	status, _, answer = send(t, address, "POST", part, jsonType+"Content-Range: bytes 0-28/29\r\n", `{"bucket":"..","name":"../x"}`)
	if status != http.StatusOK {
		t.Fatalf("a part: %d %s", status, answer)
	}
	data, err := os.ReadFile(filepath.Join(state, "gcs", bucket, "a", "b"))
	if err != nil || string(data) != `{"bucket":"..","name":"../x"}` {
		t.Errorf("%q %v", data, err)
	}
}

// The guard stands in front of the whole stack's listeners, and lets the Web UI work.
func TestGuardOfTheStack(t *testing.T) {
	_, r := launch(t, t.TempDir(), "--allow-host", "studio.example")
	at := func(u string) string { return strings.TrimPrefix(u, "http://") }
	const namespaces, list = "/api/v1/namespaces", "/storage/v1/b/" + bucket + "/o"
	for _, c := range []struct {
		name, address, method, target, headers string
		want                                   int
	}{
		{"the page", at(r.UI), "GET", "/namespaces/default/workflows", "", 200},
		{"the API", at(r.UI), "GET", namespaces, "Origin: " + r.UI + "\r\n", 200},
		{"the API through a tunnel", at(r.UI), "GET", namespaces, "Host: studio.example\r\nOrigin: https://studio.example\r\n", 200},
		{"a rebound name", at(r.UI), "GET", namespaces, "Host: evil.example\r\nOrigin: http://evil.example\r\n", 403},
		{"a rebound name starts a workflow", at(r.UI), "POST", namespaces + "/default/workflows/w",
			"Host: evil.example\r\nOrigin: http://evil.example\r\nCookie: _csrf=a\r\nX-CSRF-Token: a\r\n", 403},
		{"a foreign page", at(r.UI), "GET", namespaces, "Origin: http://evil.example\r\n", 403},
		{"the storage", at(r.GCS), "GET", list, "", 200},
		{"the storage through a tunnel", at(r.GCS), "GET", list, "Host: studio.example\r\n", 200},
		{"a rebound name at the storage", at(r.GCS), "GET", list, "Host: evil.example\r\n", 403},
		{"a foreign page at the storage", at(r.GCS), "GET", list, "Origin: http://evil.example\r\n", 403},
	} {
		status, _, answer := send(t, c.address, c.method, c.target, c.headers, "")
		if status != c.want {
			t.Errorf("%s: status %d, want %d: %s", c.name, status, c.want, answer)
		}
		if refused := strings.Contains(answer, "--allow-host"); refused != (c.want == 403) {
			t.Errorf("%s: refused by the guard: %v: %s", c.name, refused, answer)
		}
	}
}
