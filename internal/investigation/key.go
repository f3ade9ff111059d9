package investigation

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"
)

const (
	packageSuffix    = ".zip"
	quarantineSuffix = ".bin"
	manifestSuffix   = ".json"
	signatureSuffix  = ".sig"
	publicKeySuffix  = ".pem"
	keyTimeLayout    = "20060102T150405Z"
)

// The archive's folders next to the packages. A prefix must not lead into them.
const (
	// NotCollectedFolder holds the manifests of actions that ended without a package.
	NotCollectedFolder = "not-collected/"
	// QuarantineFolder holds downloads that are not packages, and their manifests.
	QuarantineFolder = "quarantine/"
	// SigningKeysFolder holds the public half of every key that ever signed a manifest.
	SigningKeysFolder = "signing-keys/"
)

// Key is the object key of a package. It is built only from facts that never change, so every fetcher
// and every attempt arrives at the same object.
type Key string

// KeyOf returns "<prefix><tenantId>/<machineId>/<createdAt>_<actionId>.zip". It fails if
// [Action.Validate] or [ValidatePrefix] does: untrusted text never reaches a key unchecked.
func KeyOf(prefix string, a Action) (Key, error) {
	if err := ValidatePrefix(prefix); err != nil {
		return "", fmt.Errorf("key of action %.64q: %w", a.ActionID, err)
	}
	stem, err := stemOf(a)
	if err != nil {
		return "", err
	}
	return Key(prefix + stem + packageSuffix), nil
}

// QuarantineKeyOf returns "quarantine/<tenantId>/<machineId>/<createdAt>_<actionId>.bin", the key for a
// download that is not a package. It fails if [Action.Validate] does.
func QuarantineKeyOf(a Action) (Key, error) {
	stem, err := stemOf(a)
	if err != nil {
		return "", err
	}
	return Key(QuarantineFolder + stem + quarantineSuffix), nil
}

// NotCollectedKeyOf returns "not-collected/<tenantId>/<machineId>/<createdAt>_<actionId>.json", the
// key of the manifest that says why there is no package. It fails if [Action.Validate] does.
func NotCollectedKeyOf(a Action) (string, error) {
	stem, err := stemOf(a)
	if err != nil {
		return "", err
	}
	return NotCollectedFolder + stem + manifestSuffix, nil
}

// stemOf returns the part of a key that names the action.
func stemOf(a Action) (string, error) {
	if err := a.Validate(); err != nil {
		return "", fmt.Errorf("key of action %.64q: %w", a.ActionID, err)
	}
	return a.TenantID + "/" + a.MachineID + "/" +
		a.CreatedAt.UTC().Format(keyTimeLayout) + "_" + a.ActionID, nil
}

// Manifest returns the key of the manifest next to the object: the same name with .json. It returns ""
// for the empty key.
func (k Key) Manifest() string {
	if k == "" {
		return ""
	}
	return strings.TrimSuffix(string(k), path.Ext(string(k))) + manifestSuffix
}

// SignatureKey returns the key of the signature next to a manifest.
func SignatureKey(manifestKey string) string { return manifestKey + signatureSuffix }

// SigningKeyKey returns the object key of the public key (PEM) with the given id.
func SigningKeyKey(keyID string) string { return SigningKeysFolder + keyID + publicKeySuffix }

// ErrBadPrefix is wrapped by the errors of [ValidatePrefix].
var ErrBadPrefix = errors.New("invalid archive prefix")

// Segments that end in a slash, made of characters that never need escaping.
var prefixForm = regexp.MustCompile(`^(?:[A-Za-z0-9!_.*'()-]+/)*$`)

// prefixBytesMax leaves room for the rest of the key in S3's 1024 bytes.
const prefixBytesMax = 512

// ValidatePrefix reports whether prefix can start every key. It must be empty, or segments that each
// end in a slash; no segment may be "." or "..", and the first must not be another folder of the archive.
func ValidatePrefix(prefix string) error {
	if len(prefix) > prefixBytesMax {
		return fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrBadPrefix, len(prefix), prefixBytesMax)
	}
	if !prefixForm.MatchString(prefix) {
		return fmt.Errorf("%w: %q: want segments of plain characters, each ending in a slash", ErrBadPrefix, prefix)
	}
	for segment := range strings.SplitSeq(prefix, "/") {
		if segment == "." || segment == ".." {
			return fmt.Errorf("%w: %q contains the segment %q", ErrBadPrefix, prefix, segment)
		}
	}
	for _, folder := range []string{NotCollectedFolder, QuarantineFolder, SigningKeysFolder} {
		if strings.HasPrefix(prefix, folder) {
			return fmt.Errorf("%w: %q leads into %s", ErrBadPrefix, prefix, folder)
		}
	}
	return nil
}
