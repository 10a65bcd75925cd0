// Package guard stands in front of HTTP handlers that serve whoever reaches
// them: the storage emulator, the Web UI, the metrics. It keeps out what a web
// page could send through the browser of someone who works on this machine. It
// keeps nobody out who can open a connection himself: other users of the machine
// reach the listener as before.
//
// It is a module of its own, on the standard library alone, so that cmd/devstack
// can use it without the requirements of the main module.
package guard

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Guard knows the names under which listeners may be addressed.
type Guard struct {
	allowed map[string]bool
}

// New makes a guard that lets localhost, 127.0.0.1, [::1] and the names pass, on
// any port. A name is a host name or an IP address without scheme and port.
func New(names ...string) (*Guard, error) {
	g := &Guard{allowed: map[string]bool{"localhost": true, "127.0.0.1": true, "::1": true}}
	for _, name := range names {
		host := canonical(strings.Trim(name, "[]"))
		if host == "" {
			return nil, fmt.Errorf("--allow-host %q: want one host name or IP address without scheme and port, as in studio.example", name)
		}
		g.allowed[host] = true
	}
	return g, nil
}

// Handler serves next to requests whose Host and Origin, where there is one, are
// names that pass; others get 403. The IP address at which the connection
// arrived passes too: whoever listens there wants to be reached there, and no
// name that an attacker owns is an IP address.
func (g *Guard) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		local := localHost(r)
		if !g.passes(r.Host, local) {
			refuse(w, "Host", r.Host)
			return
		}
		for _, origin := range r.Header.Values("Origin") {
			if !g.passes(originHost(origin), local) {
				refuse(w, "Origin", origin)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

func (g *Guard) passes(hostPort, local string) bool {
	host := hostOf(hostPort)
	if host == "" {
		return false
	}
	return host == local || g.allowed[host]
}

func refuse(w http.ResponseWriter, header, value string) {
	http.Error(w, fmt.Sprintf("%s %q is refused: this listener is addressed as localhost, 127.0.0.1 or [::1]; "+
		"start it with --allow-host NAME to let another name pass, such as that of a tunnel", header, value), http.StatusForbidden)
}

// localHost is the IP address at which the request's connection arrived, "" where that is unknown.
func localHost(r *http.Request) string {
	a, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return ""
	}
	return hostOf(a.String())
}

// originHost is the host:port of an Origin header, "" for null and for whatever is no web origin.
func originHost(origin string) string {
	for _, scheme := range []string{"http://", "https://"} {
		if at, ok := strings.CutPrefix(origin, scheme); ok {
			return at
		}
	}
	return ""
}

// hostOf is the canonical host of host, host:port, [v6] or [v6]:port, "" for anything else.
func hostOf(hostPort string) string {
	if inner, ok := strings.CutPrefix(hostPort, "["); ok {
		ip, port, closed := strings.Cut(inner, "]")
		if !closed || !strings.Contains(ip, ":") || !isPort(port) {
			return ""
		}
		return canonical(ip)
	}
	host, port, found := strings.Cut(hostPort, ":")
	if found && !isPort(":"+port) {
		return ""
	}
	return canonical(host)
}

// isPort says whether s is empty, or a colon and digits.
func isPort(s string) bool {
	if s == "" {
		return true
	}
	return s[0] == ':' && strings.Trim(s[1:], "0123456789") == ""
}

// canonical is a host name or IP address in the one spelling that is compared, "" for anything else.
func canonical(host string) string {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().WithZone("").String()
	}
	const allowed = "abcdefghijklmnopqrstuvwxyz0123456789.-_"
	name := strings.TrimSuffix(strings.ToLower(host), ".")
	if strings.Trim(name, allowed) != "" {
		return ""
	}
	return name
}
