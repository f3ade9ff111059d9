package mde

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const portHTTPS = "443"

// linkHosts is the list of places a link may lead to. Without it, whoever can make the API answer
// with a URL of their choosing could have Packhorse store, and vouch for, bytes of their own.
type linkHosts []linkHost

type linkHost struct {
	name string // lower case; ".example.org" stands for every host below it
	port string
}

// What a host name or IPv4 address is made of; IPv6 addresses are recognised by net.ParseIP.
var hostForm = regexp.MustCompile(`^\.?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*$`)

func parseLinkHosts(entries []string) (linkHosts, error) {
	var hosts linkHosts
	var failures []error
	for _, entry := range entries {
		host, err := parseLinkHost(entry)
		if err != nil {
			failures = append(failures, fmt.Errorf("%.100q: %w", entry, err))
			continue
		}
		hosts = append(hosts, host)
	}
	if len(entries) == 0 {
		return nil, errors.New("there is none, so that no package could be downloaded")
	}
	return hosts, errors.Join(failures...)
}

func parseLinkHost(entry string) (linkHost, error) {
	name, port := strings.ToLower(strings.TrimSpace(entry)), portHTTPS
	if host, p, err := net.SplitHostPort(name); err == nil {
		name, port = host, p
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return linkHost{}, fmt.Errorf("%q is no port", port)
		}
	}
	name = strings.Trim(name, "[]")
	if !hostForm.MatchString(name) && net.ParseIP(name) == nil {
		return linkHost{}, errors.New("this is no host, host:port or .suffix")
	}
	if strings.HasPrefix(name, ".") && strings.Count(name, ".") < 2 {
		return linkHost{}, errors.New("a whole top-level domain is too wide a suffix")
	}
	return linkHost{name: name, port: port}, nil
}

// allow reports whether u leads to a listed place.
func (hosts linkHosts) allow(u *url.URL) bool {
	name, port := strings.ToLower(u.Hostname()), portOf(u)
	return slices.ContainsFunc(hosts, func(h linkHost) bool {
		if h.port != port {
			return false
		}
		if strings.HasPrefix(h.name, ".") {
			return len(name) > len(h.name) && strings.HasSuffix(name, h.name)
		}
		return name == h.name
	})
}

// portOf is u's port, https's own where it names none.
func portOf(u *url.URL) string {
	if port := u.Port(); port != "" {
		return port
	}
	return portHTTPS
}

// sameOrigin reports whether a and b are the same https server.
func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == "https" && b.Scheme == "https" &&
		strings.EqualFold(a.Hostname(), b.Hostname()) && portOf(a) == portOf(b)
}
