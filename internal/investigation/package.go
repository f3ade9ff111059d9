package investigation

import (
	"fmt"
	"io"
	"log/slog"
	"time"
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
	Body   io.ReadCloser
	Size   int64    // bytes, or SizeUnknown
	Source Exchange // the request that the bytes answer
}

// Exchange is what is known of one request and its answer. Nothing in it opens anything: the host
// is there, path and query are not.
type Exchange struct {
	AskedAt           time.Time
	AnsweredAt        time.Time // when the answer's head came
	Host              string    // host[:port], as the request named it
	TLSVersion        string    // such as "TLS 1.3"; empty without TLS
	CertificateSHA256 string    // of the host's certificate (DER), lower-case hexadecimal
	RequestID         string    // as the host named the request, if it did
	CorrelationID     string    // likewise
}

// Collection is how an object was come by.
type Collection struct {
	Attempt  int // which attempt brought it, from 1
	Link     Exchange
	Download Exchange
}

// Content is what a package's central directory says is in it. Nothing is ever unpacked.
type Content struct {
	Entries          int64
	UncompressedSize int64 // bytes
	// TopLevel names the folders (and files) at the top, in order. Names that are no text, or lead
	// elsewhere, are quoted in Remarks and not here.
	TopLevel []string
	// Remarks say what whoever unpacks the package should know, one sentence each.
	Remarks []string
}

// Placement says where a package is stored, and what is written on it.
type Placement struct {
	Key        Key
	Quarantine Key // for what turns out to be no package; empty: it is dropped
	Action     Action
	Claim      string // the owner of the claim that stores it
	// Unnamed admits what a release that wrote no names of claims may have stored: an object without
	// one that has the very bytes that come now.
	Unnamed    bool
	Collection Collection
}

// Stored is all that is known of an object in the archive.
type Stored struct {
	Receipt    Receipt
	Collection Collection
	Content    Content // empty for what is in quarantine
}

// Receipt is what S3 confirmed of a stored object.
type Receipt struct {
	Bucket    string
	Key       string
	VersionID string // empty in a bucket without versions
	Size      int64  // bytes
	SHA256    string // of the whole object, lower-case hexadecimal
	CRC32C    string // of the whole object as S3 verified it, base64 of the big-endian sum
	PartSize  int64  // bytes of each part but the last; 0: it came in one piece
	Retention Retention
}

// Lock is how everything that is stored is kept from being deleted (S3 Object Lock). The zero Lock
// asks for nothing; a default that the bucket itself has then applies.
type Lock struct {
	Mode      string        // GOVERNANCE, COMPLIANCE, or empty
	For       time.Duration // from the moment an object is put; nothing without a mode
	LegalHold bool          // independent of the mode
}

// Wanted reports whether the lock asks for anything.
func (l Lock) Wanted() bool { return l.Mode != "" || l.LegalHold }

// From returns the retention of what is stored now.
func (l Lock) From(now time.Time) Retention {
	r := Retention{Mode: l.Mode, LegalHold: l.LegalHold}
	if l.Mode != "" {
		r.Until = now.Add(l.For).UTC().Truncate(time.Second) // S3 keeps no more
	}
	return r
}

// Retention is what keeps an object from being deleted. The zero Retention is nothing.
type Retention struct {
	Mode      string    // GOVERNANCE, COMPLIANCE, or empty
	Until     time.Time // in whole seconds; zero without a mode
	LegalHold bool
}

// Covers reports whether r keeps an object at least as long, and as strictly, as wanted does.
func (r Retention) Covers(wanted Retention) bool {
	switch {
	case wanted.LegalHold && !r.LegalHold:
		return false
	case wanted.Mode == "":
		return true
	case wanted.Mode == "COMPLIANCE" && r.Mode != "COMPLIANCE":
		return false
	default:
		return r.Mode != "" && !r.Until.Before(wanted.Until)
	}
}
