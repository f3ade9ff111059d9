package investigation

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

const (
	packageSuffix  = ".zip"
	manifestSuffix = ".json"
	keyTimeLayout  = "20060102T150405Z"
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
	if err := a.Validate(); err != nil {
		return "", fmt.Errorf("key of action %.64q: %w", a.ActionID, err)
	}
	return Key(prefix + a.TenantID + "/" + a.MachineID + "/" +
		a.CreatedAt.UTC().Format(keyTimeLayout) + "_" + a.ActionID + packageSuffix), nil
}

// Manifest returns the key of the custody record that lies beside the package.
func (k Key) Manifest() string { return strings.TrimSuffix(string(k), packageSuffix) + manifestSuffix }

// ErrBadPrefix is wrapped by the errors of [ValidatePrefix].
var ErrBadPrefix = errors.New("the archive prefix cannot be used")

// Letters that need no escaping anywhere, in segments that end in a slash.
var prefixForm = regexp.MustCompile(`^(?:[A-Za-z0-9!_.*'()-]+/)*$`)

// prefixBytesMax leaves room for the rest of the key in S3's 1024 bytes.
const prefixBytesMax = 512

// ValidatePrefix reports whether prefix can stand before every key: empty, or segments that each
// end in a slash, none of them "." or "..".
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
	return nil
}
