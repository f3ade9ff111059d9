package verify

import (
	"cmp"
	"path"
	"strconv"
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
	// place is that of the object or the manifest, and of the manifest that a signature belongs to: 0
	// is where it lies if nothing else does. signaturePlace is the signature's own.
	place, signaturePlace int
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
	stem, n.place = cutPlace(stem)
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
	if of, ok := strings.CutSuffix(file, signatureSuffix); ok {
		n.part = partSignature
		of, n.signaturePlace = cutPlace(of)
		return strings.CutSuffix(of, manifestSuffix)
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

// cutPlace splits "<text>~<n>". Of any other text the place is 0.
func cutPlace(text string) (before string, place int) {
	at := strings.LastIndexByte(text, '~')
	if at < 0 {
		return text, 0
	}
	place, err := strconv.Atoi(text[at+1:])
	if err != nil || place < 1 || place > investigation.PlaceMax || strconv.Itoa(place) != text[at+1:] {
		return text, 0
	}
	return text[:at], place
}

func (n name) stem() string { return n.folder + n.tail }

// manifestKey is where the manifest lies if nothing else lies there.
func (n name) manifestKey() string { return n.stem() + manifestSuffix }

// subjectKey is what a person calls the whole by, if nothing else lies there.
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

// beside is what a person calls what lies in the place of a manifest.
func (n name) beside() string {
	if n.area == areaNotCollected {
		return n.key()
	}
	return investigation.Place(n.subjectKey(), n.place)
}

// key returns the key that the parts make up again.
func (n name) key() string {
	switch n.part {
	case partManifest:
		return investigation.Place(n.manifestKey(), n.place)
	case partSignature:
		return investigation.Place(
			investigation.SignatureKey(investigation.Place(n.manifestKey(), n.place)), n.signaturePlace)
	default:
		return investigation.Place(n.subjectKey(), n.place)
	}
}

// byPlace orders names of one kind: what lies where it always does comes first.
func byPlace(a, b name) int {
	return cmp.Or(cmp.Compare(a.place, b.place), cmp.Compare(a.signaturePlace, b.signaturePlace))
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
	id, _ = cutPlace(strings.TrimSuffix(file, keySuffix))
	return id, true
}

// IsTail reports whether s ends like a key: whatever stands before the tenant.
func IsTail(s string) bool {
	_, ok := parseTail(s)
	return ok
}
