package settings

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// redacted replaces a secret in output.
const redacted = "[redacted]"

// Secret is a client secret. Printing, logging and encoding never show it; only [Secret.Reveal]
// does. The zero Secret is empty.
type Secret struct {
	value *string // a pointer, because fmt does not call methods on unexported fields
}

// NewSecret makes a Secret from text, without the trailing line breaks that copying adds.
func NewSecret(text string) Secret {
	text = strings.TrimRight(text, "\r\n")
	if text == "" {
		return Secret{}
	}
	return Secret{value: &text}
}

// UnmarshalText is [NewSecret].
func (s *Secret) UnmarshalText(text []byte) error {
	*s = NewSecret(string(text))
	return nil
}

// Reveal returns the secret, or "" if it is empty. The caller MUST use it only for token requests.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// IsZero reports whether the secret is empty.
func (s Secret) IsZero() bool { return s.value == nil }

// Format writes "[redacted]" for every verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// String returns "[redacted]".
func (Secret) String() string { return redacted }

// LogValue returns "[redacted]".
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "[redacted]".
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
