package investigation

import (
	"io"
	"log/slog"
)

// redacted stands wherever a secret would have been printed.
const redacted = "[redacted]"

// Link is the short-lived download URL of a package. It is a bearer credential: whoever has it has
// the package. No way of printing, logging or encoding a Link shows it; only [Link.Reveal] does.
type Link struct{ url string }

// NewLink makes a Link of the URL Defender answered with.
func NewLink(url string) Link { return Link{url: url} }

// Reveal returns the URL. The caller MUST hand it to nothing but the HTTP request it is meant for.
func (l Link) Reveal() string { return l.url }

// String returns "[redacted]".
func (Link) String() string { return redacted }

// GoString returns "[redacted]", so that %#v is safe too.
func (Link) GoString() string { return redacted }

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
