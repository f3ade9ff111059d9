package archive

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"hash/crc32"
	"io"

	"packhorse/internal/investigation"
)

// content is what is learned of a package as it passes: how long it is, its digests, and what sort
// of ZIP it is. It is an io.Writer that never fails.
//
// CRC-32C is the digest S3 can verify over a whole object that came in parts (its SHA-256 would be
// one of the parts' sums), and the cheapest one in Go. SHA-256 is the one evidence is judged by.
type content struct {
	declared int64 // bytes, or investigation.SizeUnknown
	size     int64
	sha      hash.Hash
	crc      hash.Hash32
	zip      *zipTail // nil: what passes is not judged
}

func newContent(declared int64, judge bool) *content {
	c := &content{
		declared: declared, sha: sha256.New(), crc: crc32.New(crc32.MakeTable(crc32.Castagnoli)),
	}
	if judge {
		c.zip = &zipTail{}
	}
	return c
}

// Write implements io.Writer.
func (c *content) Write(p []byte) (int, error) {
	_, _ = c.sha.Write(p)
	_, _ = c.crc.Write(p)
	if c.zip != nil {
		c.zip.write(p, c.size)
	}
	c.size += int64(len(p))
	return len(p), nil
}

func (c *content) sha256() string { return hex.EncodeToString(c.sha.Sum(nil)) }
func (c *content) crc32c() string { return base64.StdEncoding.EncodeToString(c.crc.Sum(nil)) }

// whole says what is in the package, provided that what passed is as long as declared, and a ZIP.
func (c *content) whole() (investigation.Content, error) {
	if c.declared != investigation.SizeUnknown && c.size < c.declared {
		return investigation.Content{}, fmt.Errorf("%d bytes came of %d declared: %w",
			c.size, c.declared, io.ErrUnexpectedEOF)
	}
	if c.declared != investigation.SizeUnknown && c.size > c.declared {
		return investigation.Content{}, notAPackage("%d bytes came, %d were declared",
			c.size, c.declared)
	}
	if c.zip == nil {
		return investigation.Content{}, nil
	}
	return c.zip.inventory(c.size)
}

// Inspection is what can be said of bytes without the bucket.
type Inspection struct {
	Size    int64  // bytes
	SHA256  string // lower-case hexadecimal
	CRC32C  string // base64 of the big-endian sum
	Content investigation.Content
	// NotAPackage says why the bytes are no package, and wraps investigation.ErrNotAPackage. It is
	// nil if they are one, or were not judged.
	NotAPackage error
}

// Inspect reads r to its end and says of the bytes what [Archive.Store] would have written in a
// receipt and in a manifest. With judge it also says what is in the package. The error is r's.
func Inspect(r io.Reader, judge bool) (Inspection, error) {
	c := newContent(investigation.SizeUnknown, judge)
	_, err := io.Copy(c, r)
	if err != nil {
		return Inspection{}, fmt.Errorf("read what is to be inspected: %w", err)
	}
	i := Inspection{Size: c.size, SHA256: c.sha256(), CRC32C: c.crc32c()}
	i.Content, i.NotAPackage = c.whole()
	return i, nil
}
