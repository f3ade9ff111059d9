package settings

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// LinkHosts is where packages may be downloaded from. Each entry is in lower case and one of: a host
// ("example.com", meaning port 443), a host with its port ("127.0.0.1:8443"), or a suffix
// (".blob.core.windows.net", meaning every host under it).
type LinkHosts []string

// UnmarshalText reads the comma list of the variable; see [ParseLinkHosts].
func (h *LinkHosts) UnmarshalText(text []byte) error {
	hosts, err := ParseLinkHosts(string(text))
	*h = hosts
	return err
}

// ErrBadLinkHost is wrapped by the errors of [ParseLinkHosts].
var ErrBadLinkHost = errors.New("no host[:port] and no .suffix")

// linkHostsMax bounds the list: every link is compared with every entry.
const linkHostsMax = 64

// ParseLinkHosts reads a comma list of hosts and suffixes. White space around entries is ignored.
// Errors wrap [ErrBadLinkHost] and name the entry by its place, not its text: somebody may have put
// a whole link there.
func ParseLinkHosts(list string) (LinkHosts, error) {
	entries := strings.Split(list, ",")
	if len(entries) > linkHostsMax {
		return nil, fmt.Errorf("%d entries are more than %d: %w", len(entries), linkHostsMax,
			ErrBadLinkHost)
	}
	var hosts LinkHosts
	for i, entry := range entries {
		host, ok := linkHost(strings.ToLower(strings.TrimSpace(entry)))
		if !ok {
			return nil, fmt.Errorf("entry %d: %w", i+1, ErrBadLinkHost)
		}
		if !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	return hosts, nil
}

// A host name: labels of letters, digits and inner hyphens (RFC 1123), and underscores, which some
// hosts have in spite of it.
var hostName = regexp.MustCompile(`^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?` +
	`(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*$`)

// hostBytesMax is the length limit of a host name (RFC 1035).
const hostBytesMax = 253

// linkHost returns one entry in canonical form, and whether it is one.
func linkHost(entry string) (string, bool) {
	if suffix, ok := strings.CutPrefix(entry, "."); ok {
		// A whole top-level domain is a slip, and no allow-list.
		return entry, validName(suffix) && strings.Contains(suffix, ".")
	}
	host, port, err := net.SplitHostPort(entry)
	if err != nil { // there is no port
		return entry, validName(entry) || validIPv4(entry)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || port != strconv.FormatUint(n, 10) {
		return "", false
	}
	ip, err := netip.ParseAddr(host)
	valid := validName(host) || (err == nil && ip.Zone() == "")
	return net.JoinHostPort(host, port), valid
}

// validName reports whether name is a host name. One whose last label is a number is an IP address
// or nothing.
func validName(name string) bool {
	if len(name) > hostBytesMax || !hostName.MatchString(name) {
		return false
	}
	last := name[strings.LastIndexByte(name, '.')+1:]
	return strings.Trim(last, "0123456789") != ""
}

func validIPv4(text string) bool {
	ip, err := netip.ParseAddr(text)
	return err == nil && ip.Is4()
}
