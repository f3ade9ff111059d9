package investigation

import (
	"cmp"
	"path"
	"strconv"
	"strings"
	"time"
)

// Area is a part of the archive.
type Area int

// The areas.
const (
	AreaPackages Area = iota
	AreaNotCollected
	AreaQuarantine
)

// Part is what an object is to its action.
type Part int

// The parts of an action's evidence.
const (
	PartObject Part = iota // the package, or what lies in quarantine
	PartManifest
	PartSignature
)

// KeyParts is a key of the archive, taken apart. [ParseKey] makes them.
type KeyParts struct {
	ID
	MachineID string
	CreatedAt time.Time

	Folder string // what stands before the tenant: a prefix, or one of the archive's folders
	Tail   string // <tenantId>/<machineId>/<createdAt>_<actionId>
	Area   Area
	Part   Part
	// Place is that of the object or the manifest, and of the manifest that a signature belongs to: 0
	// is where it lies if nothing else does. SignaturePlace is the signature's own.
	Place, SignaturePlace int
}

// ParseKey takes apart the key of a package, of something in quarantine, of a manifest or of a
// signature, in any of their places. It returns false for any other key. What it accepts, Key gives
// back.
func ParseKey(key string) (KeyParts, bool) {
	k := KeyParts{Part: PartObject}
	segments := strings.Split(key, "/")
	if len(segments) < 3 {
		return KeyParts{}, false
	}
	last := len(segments) - 1
	k.Folder = strings.Join(segments[:last-2], "/")
	if k.Folder != "" || last > 2 {
		k.Folder += "/"
	}
	stem, ok := k.takeEnding(segments[last])
	stem, k.Place = cutPlace(stem)
	if !ok || ValidatePrefix(k.Folder) != nil && k.Area == AreaPackages {
		return KeyParts{}, false
	}
	stamp, actionID, _ := strings.Cut(stem, "_")
	createdAt, err := time.Parse(keyTimeLayout, stamp)
	if err != nil || createdAt.Format(keyTimeLayout) != stamp {
		return KeyParts{}, false
	}
	k.TenantID, k.MachineID, k.ActionID = segments[last-2], segments[last-1], actionID
	for _, id := range []string{k.TenantID, k.MachineID, k.ActionID} {
		canonical, err := CanonicalID(id)
		if err != nil || canonical != id {
			return KeyParts{}, false
		}
	}
	k.CreatedAt = createdAt
	k.Tail = k.TenantID + "/" + k.MachineID + "/" + stem
	return k, true
}

// ParseKeyEnd is [ParseKey] for a key that anything may stand before, as in a copied folder. It looks
// at the last three segments only, and does not know the area.
func ParseKeyEnd(key string) (KeyParts, bool) {
	segments := strings.Split(key, "/")
	return ParseKey(strings.Join(segments[max(0, len(segments)-3):], "/"))
}

// takeEnding finds out the area and the part, and returns the file's name without its ending.
func (k *KeyParts) takeEnding(file string) (stem string, ok bool) {
	objectSuffix := packageSuffix
	switch k.Folder {
	case NotCollectedFolder:
		k.Area, objectSuffix = AreaNotCollected, ""
	case QuarantineFolder:
		k.Area, objectSuffix = AreaQuarantine, quarantineSuffix
	}
	if of, ok := strings.CutSuffix(file, signatureSuffix); ok {
		k.Part = PartSignature
		of, k.SignaturePlace = cutPlace(of)
		return strings.CutSuffix(of, manifestSuffix)
	}
	if stem, ok := strings.CutSuffix(file, manifestSuffix); ok {
		k.Part = PartManifest
		return stem, true
	}
	if objectSuffix == "" {
		return "", false
	}
	return strings.CutSuffix(file, objectSuffix)
}

// cutPlace splits "<text>~<n>". Of any other text the place is 0.
func cutPlace(text string) (before string, place int) {
	at := strings.LastIndexByte(text, '~')
	if at < 0 {
		return text, 0
	}
	place, err := strconv.Atoi(text[at+1:])
	if err != nil || place < 1 || place > PlaceMax || strconv.Itoa(place) != text[at+1:] {
		return text, 0
	}
	return text[:at], place
}

// Stem is what the keys of all parts in the same folder begin with.
func (k KeyParts) Stem() string { return k.Folder + k.Tail }

// ManifestKey is where the manifest lies if nothing else lies there.
func (k KeyParts) ManifestKey() string { return k.Stem() + manifestSuffix }

// SubjectKey is what a person calls the whole by, if nothing else lies there: the object's key, or the
// manifest's where there is no object.
func (k KeyParts) SubjectKey() string {
	switch k.Area {
	case AreaPackages:
		return k.Stem() + packageSuffix
	case AreaQuarantine:
		return k.Stem() + quarantineSuffix
	default:
		return k.ManifestKey()
	}
}

// Key puts the parts together again.
func (k KeyParts) Key() string {
	switch k.Part {
	case PartManifest:
		return Place(k.ManifestKey(), k.Place)
	case PartSignature:
		return Place(SignatureKey(Place(k.ManifestKey(), k.Place)), k.SignaturePlace)
	default:
		return Place(k.SubjectKey(), k.Place)
	}
}

// ComparePlaces orders keys of one part: what lies where it always does comes first.
func (k KeyParts) ComparePlaces(other KeyParts) int {
	return cmp.Or(cmp.Compare(k.Place, other.Place), cmp.Compare(k.SignaturePlace, other.SignaturePlace))
}

// ParseSigningKeyKey returns the id that the key of a published public key names, in any of its places.
func ParseSigningKeyKey(key string) (id string, ok bool) {
	file, ok := strings.CutPrefix(key, SigningKeysFolder)
	if !ok || path.Ext(file) != publicKeySuffix || strings.Contains(file, "/") {
		return "", false
	}
	id, _ = cutPlace(strings.TrimSuffix(file, publicKeySuffix))
	return id, true
}
