package investigation

import (
	"fmt"
	"io"
	"log/slog"
	"unique"
)

// redacted stands wherever a secret would have been printed.
const redacted = "[redacted]"

// Link is the short-lived download URL of a package. It is a bearer credential: whoever has it has
// the package. No way of printing, logging or encoding a Link shows it; only [Link.Reveal] does.
// Links are equal if their URLs are; the zero Link has none.
type Link struct {
	// A handle and not the string: of what lies in an unexported field, package fmt asks no method
	// but prints the insides, and those of a handle are a pointer.
	url unique.Handle[string]
}

// NewLink makes a Link of the URL Defender answered with.
func NewLink(url string) Link { return Link{url: unique.Make(url)} }

// Reveal returns the URL. The caller MUST hand it to nothing but the HTTP request it is meant for.
func (l Link) Reveal() string {
	if l == (Link{}) {
		return ""
	}
	return l.url.Value()
}

// Format writes "[redacted]" whatever the verb: %d would ask neither String nor GoString.
func (Link) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// String returns "[redacted]".
func (Link) String() string { return redacted }

// LogValue returns "[redacted]".
func (Link) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "[redacted]", so that no encoder writes the URL.
func (Link) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// SizeUnknown is the Size of a package whose server declared none.
const SizeUnknown int64 = -1

// Package is an open download. Whoever receives it MUST close Body. A Body that ends before Size
// bytes (where Size is known) ends in [io.ErrUnexpectedEOF], never in a clean io.EOF.
type Package struct {
	Body io.ReadCloser
	Size int64 // bytes, or SizeUnknown
}

// Receipt is what S3 confirmed of a stored package.
type Receipt struct {
	Bucket    string
	Key       string
	VersionID string // empty in a bucket without versions
	Size      int64  // bytes
	SHA256    string // of the whole object, lower-case hexadecimal
	CRC32C    string // of the whole object as S3 verified it, base64 of the big-endian sum
}
