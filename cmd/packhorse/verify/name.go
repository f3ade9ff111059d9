package verify

import (
	"path"
	"strings"
	"time"

	"packhorse/internal/investigation"
)

// area is a part of the archive.
type area int

const (
	areaPackages area = iota
	areaNotCollected
	areaQuarantine
)

// part is what an object is to its action.
type part int

const (
	partObject part = iota
	partManifest
	partSignature
)

const (
	manifestSuffix  = ".json"
	signatureSuffix = ".sig"
	keySuffix       = ".pem"
	packageSuffix   = ".zip"
	quarantineEnd   = ".bin"

	keyTime = "20060102T150405Z"

	// defaultPrefix is where packages lie unless ARCHIVE_PREFIX says otherwise.
	defaultPrefix = "packages/"
)

// name is a key of Packhorse's, taken apart.
type name struct {
	folder    string // what stands before the tenant: a prefix, or one of the archive's folders
	tail      string // <tenantId>/<machineId>/<createdAt>_<actionId>
	tenantID  string
	machineID string
	createdAt time.Time
	actionID  string
	area      area
	part      part
}

// parseName takes a key apart. It is false for what no Packhorse would call anything.
func parseName(key string) (name, bool) {
	n := name{part: partObject}
	segments := strings.Split(key, "/")
	if len(segments) < 3 {
		return name{}, false
	}
	last := len(segments) - 1
	n.folder = strings.Join(segments[:last-2], "/")
	if n.folder != "" || last > 2 {
		n.folder += "/"
	}
	stem, ok := n.takeSuffix(segments[last])
	if !ok || investigation.ValidatePrefix(n.folder) != nil && n.area == areaPackages {
		return name{}, false
	}
	stamp, actionID, _ := strings.Cut(stem, "_")
	createdAt, err := time.Parse(keyTime, stamp)
	if err != nil || createdAt.Format(keyTime) != stamp {
		return name{}, false
	}
	n.tenantID, n.machineID, n.actionID = segments[last-2], segments[last-1], actionID
	for _, id := range []string{n.tenantID, n.machineID, n.actionID} {
		canonical, err := investigation.CanonicalID(id)
		if err != nil || canonical != id {
			return name{}, false
		}
	}
	n.createdAt = createdAt
	n.tail = n.tenantID + "/" + n.machineID + "/" + stem
	return n, true
}

// takeSuffix finds out the area and the part, and returns the file's name without its ending.
func (n *name) takeSuffix(file string) (stem string, ok bool) {
	objectEnd := packageSuffix
	switch n.folder {
	case investigation.NotCollectedFolder:
		n.area, objectEnd = areaNotCollected, ""
	case investigation.QuarantineFolder:
		n.area, objectEnd = areaQuarantine, quarantineEnd
	}
	if stem, ok := strings.CutSuffix(file, manifestSuffix+signatureSuffix); ok {
		n.part = partSignature
		return stem, true
	}
	if stem, ok := strings.CutSuffix(file, manifestSuffix); ok {
		n.part = partManifest
		return stem, true
	}
	if objectEnd == "" {
		return "", false
	}
	return strings.CutSuffix(file, objectEnd)
}

func (n name) stem() string        { return n.folder + n.tail }
func (n name) manifestKey() string { return n.stem() + manifestSuffix }

// subjectKey is what a person calls the whole by.
func (n name) subjectKey() string {
	switch n.area {
	case areaPackages:
		return n.stem() + packageSuffix
	case areaQuarantine:
		return n.stem() + quarantineEnd
	default:
		return n.manifestKey()
	}
}

// key returns the key that the parts make up again.
func (n name) key() string {
	switch n.part {
	case partManifest:
		return n.manifestKey()
	case partSignature:
		return investigation.SignatureKey(n.manifestKey())
	default:
		return n.subjectKey()
	}
}

// id is the action that the key names.
func (n name) id() investigation.ID {
	return investigation.ID{TenantID: n.tenantID, ActionID: n.actionID}
}

// IsKey reports whether s names a package, a thing in quarantine, a manifest or a signature.
func IsKey(s string) bool {
	_, ok := parseName(s)
	return ok
}

// parseSigningKey returns the id that the key of a published public key names.
func parseSigningKey(key string) (id string, ok bool) {
	file, ok := strings.CutPrefix(key, investigation.SigningKeysFolder)
	if !ok || path.Ext(file) != keySuffix || strings.Contains(file, "/") {
		return "", false
	}
	return strings.TrimSuffix(file, keySuffix), true
}
