package guard

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// rawRequest sends bytes as they are, which Go's client does not, and returns the answer.
func rawRequest(t *testing.T, address, request string) (status int, header http.Header, body string) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
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

func TestHostAndOrigin(t *testing.T) {
	g, err := New("Studio.Example.", "10.1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {})))
	defer s.Close()
	address := s.Listener.Addr().String()
	for _, c := range []struct {
		name, host, headers string
		want                int
	}{
		{"the address itself", address, "", 200},
		{"localhost", "localhost", "", 200},
		{"localhost, another port, as through ssh -L", "localhost:9000", "", 200},
		{"capitals and a dot", "LocalHost.:80", "", 200},
		{"IPv6", "[::1]:4443", "", 200},
		{"IPv6 without a port", "[::1]", "", 200},
		{"IPv6, long", "[0:0:0:0:0:0:0:1]:1", "", 200},
		{"an allowed name", "studio.example", "", 200},
		{"an allowed address", "10.1.2.3:80", "", 200},
		{"same origin", "127.0.0.1:8233", "Origin: http://127.0.0.1:8233\r\n", 200},
		{"an allowed origin", "localhost:1", "Origin: https://studio.example\r\n", 200},

		{"a foreign host", "evil.example", "", 403},
		{"a rebound name with the right port", "evil.example:8233", "", 403},
		{"an address of another machine", "10.1.2.4", "", 403},
		{"a name below an allowed one", "a.studio.example", "", 403},
		{"a name that ends like localhost", "evillocalhost", "", 403},
		{"a name that begins like localhost", "localhost.evil.example", "", 403},
		{"a name that begins like the address", "127.0.0.1.evil.example", "", 403},
		{"no host", "", "", 403},
		{"a user in the host", "localhost:80@evil.example", "", 403},
		{"two ports", "localhost:80:80", "", 403},
		{"IPv6 without an end", "[::1", "", 403},
		{"IPv6 with a tail", "[::1]evil.example", "", 403},
		{"a foreign origin", "localhost", "Origin: http://evil.example\r\n", 403},
		{"a foreign origin beside a good one", "localhost", "Origin: http://localhost\r\nOrigin: http://evil.example\r\n", 403},
		{"the origin of a sandboxed frame", "localhost", "Origin: null\r\n", 403},
		{"an empty origin", "localhost", "Origin:\r\n", 403},
		{"an origin of another scheme", "localhost", "Origin: chrome-extension://localhost\r\n", 403},
		{"an origin with a user", "localhost", "Origin: http://localhost@evil.example\r\n", 403},
		{"an origin with a path", "localhost", "Origin: http://evil.example/localhost\r\n", 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, _, body := rawRequest(t, address, fmt.Sprintf("GET / HTTP/1.1\r\nHost: %s\r\n%sConnection: close\r\n\r\n", c.host, c.headers))
			if status == http.StatusBadRequest && c.want == http.StatusForbidden {
				return // not even a Host to net/http
			}
			if status != c.want {
				t.Errorf("status %d, want %d: %s", status, c.want, body)
			}
			if status == http.StatusForbidden && !strings.Contains(body, "--allow-host") {
				t.Errorf("the refusal does not say what to do: %s", body)
			}
		})
	}
	// The target in absolute form is the Host that counts.
	request := "GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
	if status, _, _ := rawRequest(t, address, request); status != http.StatusForbidden {
		t.Errorf("a foreign target behind a local Host: status %d", status)
	}
	if status, _, _ := rawRequest(t, address, "GET / HTTP/1.0\r\n\r\n"); status != http.StatusForbidden {
		t.Errorf("HTTP/1.0 without a Host: status %d", status)
	}
}

func TestWhereItListensPasses(t *testing.T) {
	g, err := New()
	if err != nil {
		t.Fatal(err)
	}
	for local, want := range map[string]int{"192.0.2.7:9090": 200, "192.0.2.8:9090": 403} {
		r := httptest.NewRequest(http.MethodGet, "http://192.0.2.7:9090/", nil)
		a, err := net.ResolveTCPAddr("tcp", local)
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		g.Handler(http.NotFoundHandler()).ServeHTTP(w, r.WithContext(contextWith(r, a)))
		if got := w.Code != http.StatusForbidden; got != (want == 200) {
			t.Errorf("Host 192.0.2.7 at %s: status %d", local, w.Code)
		}
	}
}

func TestAllowedNames(t *testing.T) {
	for _, name := range []string{"a", "studio.example", "10.0.0.1", "::1", "[fe80::1]", "x_y-z"} {
		if _, err := New(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"", ".", "*", "*.example", "http://a", "a:80", "a/b", "a b", "a,b", "[::1]:80", "ä"} {
		if _, err := New(name); err == nil || !strings.Contains(err.Error(), "--allow-host") {
			t.Errorf("%q was accepted: %v", name, err)
		}
	}
}
