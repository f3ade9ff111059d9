package settings

import (
	"strings"

	"packhorse/internal/hostlist"
)

// LinkHosts are the hosts that packages may be downloaded from. Each entry has the form defined by
// package hostlist, in lower case: a host ("example.com", meaning port 443), a host with a port
// ("127.0.0.1:8443"), or a suffix (".blob.core.windows.net", meaning every host under it).
type LinkHosts []string

// UnmarshalText reads the comma list of the variable; see [ParseLinkHosts].
func (h *LinkHosts) UnmarshalText(text []byte) error {
	hosts, err := ParseLinkHosts(string(text))
	*h = hosts
	return err
}

// ErrBadLinkHost is wrapped by the errors of [ParseLinkHosts].
var ErrBadLinkHost = hostlist.ErrBadEntry

// ParseLinkHosts reads a comma-separated list of hosts and suffixes. It ignores white space around
// entries. Errors wrap [ErrBadLinkHost] and give an entry's position, not its text: somebody may
// have pasted a whole link.
func ParseLinkHosts(list string) (LinkHosts, error) {
	hosts, err := hostlist.Parse(strings.Split(list, ","))
	if err != nil {
		return nil, err
	}
	return hosts.Strings(), nil
}
