package take

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"

	"packhorse/internal/manifest"
)

// The endings of the files of one item.
const (
	EndPackage    = ".zip"
	EndQuarantine = ".bin"
	EndManifest   = ".json"
	EndSignature  = ".json.sig"
	EndReport     = ".html"
	EndKey        = ".pem"
)

// ObjectEnding returns how the file of a manifest's object ends.
func ObjectEnding(m manifest.Manifest) string {
	if m.Outcome == manifest.OutcomeQuarantined {
		return EndQuarantine
	}
	return EndPackage
}

// Names gives files names that people can read: <host>_<created>_<id>, with the beginning of the action's id.
// Two files never get names that differ only in case. The zero Names is ready to use.
type Names struct {
	given map[string]string // by folder and digest
	taken map[string]bool   // in lower case
}

const (
	hostMax   = 63 // of a DNS label; more makes names that nobody can read
	shortID   = 8
	nameStamp = "20060102T150405Z"
)

// Of returns the name, without an ending, of what a manifest with this digest describes. The same manifest
// always has the same name.
func (n *Names) Of(folder string, m manifest.Manifest, digest string) string {
	if n.given == nil {
		n.given, n.taken = map[string]string{}, map[string]bool{}
	}
	of := folder + "/" + digest
	if name, ok := n.given[of]; ok {
		return name
	}
	begin := SafeHost(cmp.Or(m.Action.ComputerDNSName, m.Action.MachineID)) + "_" +
		m.Action.CreatedAt.UTC().Format(nameStamp) + "_"
	id := unsafeInID.ReplaceAllString(m.Action.ID, "-")
	name := begin + strings.TrimRight(id[:min(shortID, len(id))], "-")
	for i := 1; n.taken[folder+"/"+strings.ToLower(name)]; i++ {
		name = begin + id
		if i > 1 {
			name += fmt.Sprintf("-%d", i)
		}
	}
	n.given[of], n.taken[folder+"/"+strings.ToLower(name)] = name, true
	return name
}

var (
	unsafeInHost = regexp.MustCompile(`[^A-Za-z0-9.-]+`)
	unsafeInID   = regexp.MustCompile(`[^0-9a-fA-F-]+`)
	dots         = regexp.MustCompile(`\.{2,}`)
	// reserved are the names of devices on Windows, with any ending.
	reserved = regexp.MustCompile(`(?i)^(con|prn|aux|nul|com[0-9]|lpt[0-9]|conin\$|conout\$)(\.|$)`)
)

// SafeHost returns a host's name as a part of a file's name that is safe on every system: letters, digits,
// dots and hyphens, not empty, no leading or trailing dot, not the name of a device.
func SafeHost(host string) string {
	host = unsafeInHost.ReplaceAllString(host, "-")
	host = dots.ReplaceAllString(host, ".")
	host = strings.Trim(host[:min(hostMax, len(host))], ".-")
	if host == "" || reserved.MatchString(host) {
		host = strings.TrimSuffix("host-"+host, "-")
	}
	return host
}
