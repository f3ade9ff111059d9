// Package zipinspect decides whether bytes are a whole ZIP, lists what it holds, and computes
// digests.
//
// It reads a stream once, from front to back, and keeps only its end. The ZIP's directory is taken
// at its word: nothing is unpacked, and memory is bounded for any input.
package zipinspect

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

// Stream inspects bytes as they pass: their number, their digests, and the ZIP they form. It is an
// [io.Writer] that never fails.
//
// CRC-32C is the digest that S3 can verify over a whole object uploaded in parts (its SHA-256 would
// be that of the parts' sums), and the cheapest one in Go. SHA-256 is the digest that identifies
// evidence.
type Stream struct {
	size int64
	sha  hash.Hash
	crc  hash.Hash32
	zip  *zipTail // nil: no ZIP check
}

// NewStream returns an empty Stream. With check it also tests whether the bytes are a ZIP, which
// takes up to 8 MiB of memory.
func NewStream(check bool) *Stream {
	s := &Stream{sha: sha256.New(), crc: crc32.New(crc32.MakeTable(crc32.Castagnoli))}
	if check {
		s.zip = &zipTail{}
	}
	return s
}

// Write implements io.Writer.
func (s *Stream) Write(p []byte) (int, error) {
	_, _ = s.sha.Write(p)
	_, _ = s.crc.Write(p)
	if s.zip != nil {
		s.zip.write(p, s.size)
	}
	s.size += int64(len(p))
	return len(p), nil
}

// Size returns how many bytes have passed.
func (s *Stream) Size() int64 { return s.size }

// SHA256 returns their SHA-256, lower-case hexadecimal.
func (s *Stream) SHA256() string { return hex.EncodeToString(s.sha.Sum(nil)) }

// CRC32C returns their CRC-32C, base64 of the big-endian sum, as S3 writes it.
func (s *Stream) CRC32C() string { return base64.StdEncoding.EncodeToString(s.crc.Sum(nil)) }

// Content describes the bytes so far as a complete stream. The error wraps
// investigation.ErrNotAPackage if they are not a whole ZIP. A Stream that does not check returns
// the zero Content.
func (s *Stream) Content() (investigation.Content, error) {
	if s.zip == nil {
		return investigation.Content{}, nil
	}
	return s.zip.inventory(s.size)
}

// Inspection is the result of [Inspect].
type Inspection struct {
	Size    int64  // bytes
	SHA256  string // lower-case hexadecimal
	CRC32C  string // base64 of the big-endian sum
	Content investigation.Content
	// NotAPackage says why the bytes are not a package, and wraps investigation.ErrNotAPackage. It
	// is nil if they are a package, or were not checked.
	NotAPackage error
}

// Inspect reads r to its end and describes it; with check it also describes the package's content.
// The error is r's.
func Inspect(r io.Reader, check bool) (Inspection, error) {
	s := NewStream(check)
	_, err := io.Copy(s, r)
	if err != nil {
		return Inspection{}, fmt.Errorf("read the bytes to inspect: %w", err)
	}
	i := Inspection{Size: s.Size(), SHA256: s.SHA256(), CRC32C: s.CRC32C()}
	i.Content, i.NotAPackage = s.Content()
	return i, nil
}
