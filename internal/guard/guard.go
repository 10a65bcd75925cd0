// Package guard protects HTTP handlers on this machine (the storage emulator, the Web UI, the
// metrics) from requests that a web page sends through the browser of a local user. It
// does not protect against users who can open a connection themselves: other users of the
// machine reach the listener as before.
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

// Guard has the names under which listeners may be addressed.
type Guard struct {
	allowed map[string]bool
}

// New makes a guard that permits localhost, 127.0.0.1, [::1] and the names, on any port. A
// name is a host name or an IP address without scheme and port.
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

// Handler passes a request to next if its Host and its Origin, if it has one, are permitted
// names; others get status 403. The IP address at which the connection arrived is permitted
// too: the listener is meant to be reached there, and an IP address cannot be a name that
// belongs to an attacker.
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

// localHost returns the IP address at which the request's connection arrived, "" if it is unknown.
func localHost(r *http.Request) string {
	a, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return ""
	}
	return hostOf(a.String())
}

// originHost returns the host:port of an Origin header, "" for null and for anything that is not a web origin.
func originHost(origin string) string {
	for _, scheme := range []string{"http://", "https://"} {
		if at, ok := strings.CutPrefix(origin, scheme); ok {
			return at
		}
	}
	return ""
}

// hostOf returns the canonical host of host, host:port, [v6] or [v6]:port, "" for anything else.
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

// canonical returns the canonical spelling of a host name or IP address, "" for anything else.
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
