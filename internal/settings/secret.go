package settings

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// redacted stands wherever a secret would have been printed.
const redacted = "[redacted]"

// Secret is a client secret. No way of printing, logging or encoding it shows it; only
// [Secret.Reveal] does. The zero Secret is no secret.
type Secret struct {
	value *string // behind a pointer: fmt calls no methods of what is in an unexported field
}

// NewSecret makes a Secret of text without its trailing line breaks, which copying adds.
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

// Reveal returns the secret, or "" where there is none. The caller MUST hand it to nothing but the
// token request.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// IsZero reports whether there is no secret.
func (s Secret) IsZero() bool { return s.value == nil }

// Format writes "[redacted]", whatever the verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// String returns "[redacted]".
func (Secret) String() string { return redacted }

// LogValue returns "[redacted]".
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "[redacted]".
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
