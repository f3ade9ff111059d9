// Package hostlist is the allowlist of hosts that packages may be downloaded from. It defines one
// grammar for both the setting and the code that follows links.
//
// An entry is a host ("example.com"), an IP address ("127.0.0.1", "[::1]") or a suffix
// (".blob.core.windows.net", every host below that name), with a port unless it is 443
// ("127.0.0.1:8443"). A suffix never admits an IP address.
package hostlist

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// PortHTTPS is the port of an entry or URL without an explicit port.
const PortHTTPS = "443"

// entriesMax bounds a list, because every link is compared with every entry.
const entriesMax = 64

// ErrBadEntry is wrapped by the errors of [Parse].
var ErrBadEntry = errors.New("not a host[:port] or .suffix")

// List is a list of hosts. An empty list admits nothing.
type List []entry

// entry is one entry of the list. Either name or address is set.
type entry struct {
	name    string     // in lower case; a leading dot makes it a suffix
	address netip.Addr // without a zone
	port    string
}

// Parse reads the entries, ignoring white space around them and case. Errors wrap [ErrBadEntry] and
// give each bad entry's position, not its text: somebody may have pasted a whole link.
func Parse(entries []string) (List, error) {
	if len(entries) > entriesMax {
		return nil, fmt.Errorf("%d entries, more than the maximum of %d: %w", len(entries), entriesMax, ErrBadEntry)
	}
	var list List
	var bad []string
	for i, text := range entries {
		e, ok := parseEntry(strings.ToLower(strings.TrimSpace(text)))
		if !ok {
			bad = append(bad, fmt.Sprintf("entry %d", i+1))
		} else if !slices.Contains(list, e) {
			list = append(list, e)
		}
	}
	if len(bad) > 0 {
		return nil, fmt.Errorf("%s: %w", strings.Join(bad, ", "), ErrBadEntry)
	}
	return list, nil
}

func parseEntry(text string) (entry, bool) {
	host, port := text, PortHTTPS
	bracketed := strings.HasPrefix(text, "[")
	if i := strings.LastIndexByte(text, ':'); i > strings.LastIndexByte(text, ']') {
		host, port = text[:i], text[i+1:]
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 || port != strconv.FormatUint(n, 10) {
			return entry{}, false
		}
	}
	if bracketed {
		inner, closed := strings.CutSuffix(host[1:], "]")
		address, ok := parseAddress(inner)
		return entry{address: address, port: port}, closed && ok && address.Is6()
	}
	if address, ok := parseAddress(host); ok && address.Is4() {
		return entry{address: address, port: port}, true
	}
	name, isSuffix := strings.CutPrefix(host, ".")
	// A whole top-level domain is a mistake, not an allowlist entry.
	return entry{name: host, port: port}, isName(name) && (!isSuffix || strings.Contains(name, "."))
}

// parseAddress reads an IP address. It rejects a zone, which is only valid on this machine.
func parseAddress(text string) (netip.Addr, bool) {
	address, err := netip.ParseAddr(text)
	return address, err == nil && address.Zone() == ""
}

// A host name: labels of letters, digits and inner hyphens (RFC 1123), plus underscores, which some
// hosts use anyway.
var nameForm = regexp.MustCompile(`^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?` +
	`(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*$`)

// nameBytesMax is the length limit of a host name (RFC 1035).
const nameBytesMax = 253

// isName reports whether name is a host name. A name with a numeric last label could only be an IP
// address.
func isName(name string) bool {
	if len(name) > nameBytesMax || !nameForm.MatchString(name) {
		return false
	}
	last := name[strings.LastIndexByte(name, '.')+1:]
	return strings.Trim(last, "0123456789") != ""
}

// String returns the entry in the form that [Parse] reads.
func (e entry) String() string {
	host := e.name
	switch {
	case e.address.Is6():
		host = "[" + e.address.String() + "]"
	case e.address.IsValid():
		host = e.address.String()
	}
	if e.port == PortHTTPS {
		return host
	}
	return host + ":" + e.port
}

// Strings returns the entries in the form that [Parse] reads.
func (l List) Strings() []string {
	var texts []string
	for _, e := range l {
		texts = append(texts, e.String())
	}
	return texts
}

// Admits reports whether the list admits the host of u.
func (l List) Admits(u *url.URL) bool {
	name := strings.ToLower(u.Hostname())
	address, err := netip.ParseAddr(name)
	if err != nil && !isName(name) {
		return false
	}
	isAddress := err == nil
	return slices.ContainsFunc(l, func(e entry) bool {
		switch {
		case e.port != PortOf(u):
			return false
		case isAddress:
			return e.address == address // an address with a zone never matches
		case strings.HasPrefix(e.name, "."):
			return len(name) > len(e.name) && strings.HasSuffix(name, e.name)
		default:
			return e.name == name
		}
	})
}

// PortOf returns u's port, or 443 if it is not explicit.
func PortOf(u *url.URL) string {
	if port := u.Port(); port != "" {
		return port
	}
	return PortHTTPS
}
