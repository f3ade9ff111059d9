package settings

import (
	"strings"

	"packhorse/internal/hostlist"
)

// LinkHosts is where packages may be downloaded from, each entry in the form of package hostlist and in
// lower case: a host ("example.com", meaning port 443), a host with its port ("127.0.0.1:8443"), or a
// suffix (".blob.core.windows.net", meaning every host under it).
type LinkHosts []string

// UnmarshalText reads the comma list of the variable; see [ParseLinkHosts].
func (h *LinkHosts) UnmarshalText(text []byte) error {
	hosts, err := ParseLinkHosts(string(text))
	*h = hosts
	return err
}

// ErrBadLinkHost is wrapped by the errors of [ParseLinkHosts].
var ErrBadLinkHost = hostlist.ErrBadEntry

// ParseLinkHosts reads a comma list of hosts and suffixes. White space around entries is ignored.
// Errors wrap [ErrBadLinkHost] and name the entry by its place, not its text: somebody may have put
// a whole link there.
func ParseLinkHosts(list string) (LinkHosts, error) {
	hosts, err := hostlist.Parse(strings.Split(list, ","))
	if err != nil {
		return nil, err
	}
	return hosts.Strings(), nil
}
