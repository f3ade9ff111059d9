// Package hostlist is the list of hosts that a package may be downloaded from: one grammar, for the
// setting and for whoever follows a link.
//
// An entry is a host ("example.com"), an IP address ("127.0.0.1", "[::1]") or a suffix
// (".blob.core.windows.net", every host below that name), each with a port where it is not 443
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

// PortHTTPS is the port of an entry, and of a URL, that names none.
const PortHTTPS = "443"

// entriesMax bounds a list: every link is compared with every entry.
const entriesMax = 64

// ErrBadEntry is wrapped by the errors of [Parse].
var ErrBadEntry = errors.New("not a host[:port] or .suffix")

// List is a list of hosts. It admits nothing while it is empty.
type List []entry

// entry is one of the list. One of name and address is set.
type entry struct {
	name    string     // in lower case; a leading dot makes it a suffix
	address netip.Addr // without a zone
	port    string
}

// Parse reads the entries. White space around them and the case of their letters don't matter. Errors
// wrap [ErrBadEntry] and name each bad entry by its place, not its text: somebody may have put a whole
// link there.
func Parse(entries []string) (List, error) {
	if len(entries) > entriesMax {
		return nil, fmt.Errorf("%d entries are more than %d: %w", len(entries), entriesMax, ErrBadEntry)
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
	// A whole top-level domain is a slip, not an allow-list.
	return entry{name: host, port: port}, isName(name) && (!isSuffix || strings.Contains(name, "."))
}

// parseAddress reads an IP address. One with a zone is of this machine's network only.
func parseAddress(text string) (netip.Addr, bool) {
	address, err := netip.ParseAddr(text)
	return address, err == nil && address.Zone() == ""
}

// A host name: labels of letters, digits and inner hyphens (RFC 1123), and underscores, which some
// hosts have in spite of it.
var nameForm = regexp.MustCompile(`^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?` +
	`(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*$`)

// nameBytesMax is the length limit of a host name (RFC 1035).
const nameBytesMax = 253

// isName reports whether name is a host name. One whose last label is a number is an IP address or
// nothing.
func isName(name string) bool {
	if len(name) > nameBytesMax || !nameForm.MatchString(name) {
		return false
	}
	last := name[strings.LastIndexByte(name, '.')+1:]
	return strings.Trim(last, "0123456789") != ""
}

// String returns the entry as [Parse] reads it.
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

// Strings returns the entries as [Parse] reads them.
func (l List) Strings() []string {
	var texts []string
	for _, e := range l {
		texts = append(texts, e.String())
	}
	return texts
}

// Admits reports whether the list has the host that u leads to.
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
			return e.address == address // a zone makes it another
		case strings.HasPrefix(e.name, "."):
			return len(name) > len(e.name) && strings.HasSuffix(name, e.name)
		default:
			return e.name == name
		}
	})
}

// PortOf is u's port, https's own where it names none.
func PortOf(u *url.URL) string {
	if port := u.Port(); port != "" {
		return port
	}
	return PortHTTPS
}
