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

// content is what is learned of a package as it passes: how long it is, its digests, and whether it
// is a ZIP. It is an io.Writer that never fails.
//
// CRC-32C is the digest S3 can verify over a whole object that came in parts (its SHA-256 would be
// one of the parts' sums), and the cheapest one in Go. SHA-256 is the one evidence is judged by.
type content struct {
	declared int64 // bytes, or investigation.SizeUnknown
	size     int64
	sha      hash.Hash
	crc      hash.Hash32
	zip      zipTail
}

func newContent(declared int64) *content {
	return &content{
		declared: declared, sha: sha256.New(), crc: crc32.New(crc32.MakeTable(crc32.Castagnoli)),
	}
}

// Write implements io.Writer.
func (c *content) Write(p []byte) (int, error) {
	_, _ = c.sha.Write(p)
	_, _ = c.crc.Write(p)
	c.zip.write(p, c.size)
	c.size += int64(len(p))
	return len(p), nil
}

func (c *content) sha256() string { return hex.EncodeToString(c.sha.Sum(nil)) }
func (c *content) crc32c() string { return base64.StdEncoding.EncodeToString(c.crc.Sum(nil)) }

// whole reports whether what passed is as long as declared, and a ZIP.
func (c *content) whole() error {
	if c.declared != investigation.SizeUnknown && c.size < c.declared {
		return fmt.Errorf("%d bytes came of %d declared: %w", c.size, c.declared, io.ErrUnexpectedEOF)
	}
	if c.declared != investigation.SizeUnknown && c.size > c.declared {
		return fmt.Errorf("%w: %d bytes came, %d were declared",
			investigation.ErrNotAPackage, c.size, c.declared)
	}
	return c.zip.check(c.size)
}
