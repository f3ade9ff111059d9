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

// The folders of the archive beside that of the packages. No prefix may lead into them.
const (
	// NotCollectedFolder has the manifests of packages that there will not be.
	NotCollectedFolder = "not-collected/"
	// QuarantineFolder has what came in a package's place, and its manifests.
	QuarantineFolder = "quarantine/"
	// SigningKeysFolder has the public key of every key that ever signed a manifest.
	SigningKeysFolder = "signing-keys/"
)

// Key is the object key of a package. It is made of immutable facts only, so that every fetcher, at
// every attempt, means the same object.
type Key string

// KeyOf returns "<prefix><tenantId>/<machineId>/<createdAt>_<actionId>.zip". It fails where
// [Action.Validate] or [ValidatePrefix] does: no character from outside reaches a key unchecked.
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

// QuarantineKeyOf returns "quarantine/<tenantId>/<machineId>/<createdAt>_<actionId>.bin": where what
// came in the place of a package is kept. It fails where [Action.Validate] does.
func QuarantineKeyOf(a Action) (Key, error) {
	stem, err := stemOf(a)
	if err != nil {
		return "", err
	}
	return Key(QuarantineFolder + stem + quarantineSuffix), nil
}

// NotCollectedKeyOf returns "not-collected/<tenantId>/<machineId>/<createdAt>_<actionId>.json": the
// key of the manifest that says that there will be no package. It fails where [Action.Validate]
// does.
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

// Manifest returns the key of the manifest that lies beside the object: the same name with .json. No
// key has no manifest.
func (k Key) Manifest() string {
	if k == "" {
		return ""
	}
	return strings.TrimSuffix(string(k), path.Ext(string(k))) + manifestSuffix
}

// SignatureKey returns the key of the signature that lies beside a manifest.
func SignatureKey(manifestKey string) string { return manifestKey + signatureSuffix }

// SigningKeyKey returns the key of the public key, PEM, of the given id.
func SigningKeyKey(keyID string) string { return SigningKeysFolder + keyID + publicKeySuffix }

// ErrBadPrefix is wrapped by the errors of [ValidatePrefix].
var ErrBadPrefix = errors.New("the archive prefix cannot be used")

// Letters that need no escaping anywhere, in segments that end in a slash.
var prefixForm = regexp.MustCompile(`^(?:[A-Za-z0-9!_.*'()-]+/)*$`)

// prefixBytesMax leaves room for the rest of the key in S3's 1024 bytes.
const prefixBytesMax = 512

// ValidatePrefix reports whether prefix can stand before every key: empty, or segments that each
// end in a slash, none of them "." or "..", and the first none of the archive's other folders.
func ValidatePrefix(prefix string) error {
	if len(prefix) > prefixBytesMax {
		return fmt.Errorf("%w: it has %d bytes, %d are allowed", ErrBadPrefix, len(prefix), prefixBytesMax)
	}
	if !prefixForm.MatchString(prefix) {
		return fmt.Errorf("%w: %q is not made of plain segments that end in a slash", ErrBadPrefix, prefix)
	}
	for segment := range strings.SplitSeq(prefix, "/") {
		if segment == "." || segment == ".." {
			return fmt.Errorf("%w: %q has a segment %q", ErrBadPrefix, prefix, segment)
		}
	}
	for _, folder := range []string{NotCollectedFolder, QuarantineFolder, SigningKeysFolder} {
		if strings.HasPrefix(prefix, folder) {
			return fmt.Errorf("%w: %q leads into %s", ErrBadPrefix, prefix, folder)
		}
	}
	return nil
}
