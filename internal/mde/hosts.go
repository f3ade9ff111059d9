package mde

import (
	"net/url"
	"strings"

	"packhorse/internal/hostlist"
)

// sameOrigin reports whether a and b are the same https server.
func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == "https" && b.Scheme == "https" &&
		strings.EqualFold(a.Hostname(), b.Hostname()) && hostlist.PortOf(a) == hostlist.PortOf(b)
}
