package investigation

import (
	"fmt"
	"io"
	"log/slog"
	"time"
	"unique"
)

// redacted is printed in place of a secret.
const redacted = "[redacted]"

// Link is the short-lived download URL of a package. It is a bearer credential: anybody who has it can
// download the package. Printing, logging or encoding a Link never shows the URL; only [Link.Reveal]
// does. Links are equal if their URLs are equal. The zero Link has no URL.
type Link struct {
	// A handle, not a string: package fmt prints an unexported field without calling its methods. The
	// inside of a handle is a pointer.
	url unique.Handle[string]
}

// NewLink returns a Link to the URL that Defender answered with.
func NewLink(url string) Link { return Link{url: unique.Make(url)} }

// Reveal returns the URL. The caller MUST use it for nothing but the download request.
func (l Link) Reveal() string {
	if l == (Link{}) {
		return ""
	}
	return l.url.Value()
}

// Format writes "[redacted]" for every verb: %d, for one, calls neither String nor GoString.
func (Link) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// String returns "[redacted]".
func (Link) String() string { return redacted }

// LogValue returns "[redacted]".
func (Link) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "[redacted]", to keep the URL out of every encoding.
func (Link) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// SizeUnknown is the Size of a package if the server did not declare one.
const SizeUnknown int64 = -1

// Package is an open download. The receiver MUST close Body. If Size is known and Body ends early, it
// returns [io.ErrUnexpectedEOF], never a clean io.EOF.
type Package struct {
	Body   io.ReadCloser
	Size   int64    // bytes, or SizeUnknown
	Source Exchange // the request and the answer that delivered the bytes
}

// Exchange describes one request and its answer. It grants access to nothing: it has the host, but not
// the path and the query.
type Exchange struct {
	AskedAt           time.Time
	AnsweredAt        time.Time // when the response header arrived
	Host              string    // host[:port], as in the request
	TLSVersion        string    // such as "TLS 1.3"; empty without TLS
	CertificateSHA256 string    // of the host's certificate (DER), lower-case hexadecimal
	RequestID         string    // the host's id of the request, if it sent one
	CorrelationID     string    // the host's correlation id, if it sent one
}

// Collection records how an object was obtained.
type Collection struct {
	Attempt  int // which attempt got it, from 1
	Link     Exchange
	Download Exchange
}

// Content describes a package by its ZIP central directory. Packhorse never unpacks anything.
type Content struct {
	Entries          int64
	UncompressedSize int64 // bytes
	// TopLevel names the folders (and files) at the top, in order. Names that are not text, or that
	// point outside the package, are quoted in Remarks instead.
	TopLevel []string
	// Remarks warn the person who unpacks the package, one sentence each.
	Remarks []string
}

// Placement says where to store a package, and what to write on the object.
type Placement struct {
	Key        Key
	Quarantine Key // for a download that is not a package; empty: drop it
	Action     Action
	Claim      string // the owner of the claim that stores it
	// Unnamed accepts an object without a claim's name if its bytes equal the download: an earlier
	// release, which did not write the names, may have stored it.
	Unnamed    bool
	Collection Collection
}

// Stored describes an object in the archive.
type Stored struct {
	Receipt    Receipt
	Collection Collection
	Content    Content // empty for a quarantined object
}

// Receipt is what S3 confirmed about a stored object.
type Receipt struct {
	Bucket    string
	Key       string
	VersionID string // empty in a bucket without versions
	Size      int64  // bytes
	SHA256    string // of the whole object, lower-case hexadecimal
	CRC32C    string // of the whole object, verified by S3; base64 of the big-endian sum
	PartSize  int64  // bytes of each part but the last; 0: uploaded in one piece
	Retention Retention
}

// Lock says how stored objects are protected from deletion (S3 Object Lock). The zero Lock asks for
// nothing; the bucket's own default, if it has one, then applies.
type Lock struct {
	Mode      string        // GOVERNANCE, COMPLIANCE, or empty
	For       time.Duration // from when the object is put; ignored without a mode
	LegalHold bool          // independent of the mode
}

// Wanted reports whether the lock asks for anything.
func (l Lock) Wanted() bool { return l.Mode != "" || l.LegalHold }

// From returns the retention of an object stored now.
func (l Lock) From(now time.Time) Retention {
	r := Retention{Mode: l.Mode, LegalHold: l.LegalHold}
	if l.Mode != "" {
		r.Until = now.Add(l.For).UTC().Truncate(time.Second) // S3 keeps whole seconds
	}
	return r
}

// Retention protects an object from deletion. The zero Retention does not protect it.
type Retention struct {
	Mode      string    // GOVERNANCE, COMPLIANCE, or empty
	Until     time.Time // in whole seconds; zero without a mode
	LegalHold bool
}

// Covers reports whether r protects an object at least as long and as strictly as wanted.
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
