package zipinspect

import (
	"bufio"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// The methods that can be unpacked.
const (
	methodStore   = 0
	methodDeflate = 8
)

// methodNames names the other methods. Source: APPNOTE.TXT 6.3.10, section 4.4.5.
var methodNames = map[uint16]string{
	1: "Shrink", 6: "Implode", 9: "Deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard", 95: "XZ", 98: "PPMd",
	99: "AES encryption",
}

// MethodError reports that a member is packed in a way that Copy cannot unpack.
type MethodError struct {
	Method    uint16
	Encrypted bool
}

func (e *MethodError) Error() string {
	if e.Encrypted {
		return "the member is encrypted"
	}
	name := methodNames[e.Method]
	if name == "" {
		name = "an unknown one"
	}
	return fmt.Sprintf("the member is compressed with method %d (%s), which cannot be unpacked here", e.Method, name)
}

// Advice says how to unpack it.
func (*MethodError) Advice() string {
	return "packhorse get fetches the whole package: unpack it with 7-Zip, in a place meant for hostile files"
}

// DamagedError reports that a member is not what the directory says. Bytes may have been written before that
// was known.
type DamagedError struct{ Why string }

func (e *DamagedError) Error() string {
	return "the member is damaged, do not use what was written: " + e.Why
}

// Copy unpacks a member to out, and reads nothing else of the ZIP. It never writes more bytes than the
// directory declares. It returns a [DamagedError] if their number or CRC-32 differs, a [MethodError] if it
// cannot unpack the member, and otherwise the errors of open and out.
func (d Directory) Copy(out io.Writer, open Range, m Member) (err error) {
	if m.Encrypted || m.Method != methodStore && m.Method != methodDeflate {
		return &MethodError{m.Method, m.Encrypted}
	}
	begin, err := m.begin(open)
	if err != nil {
		return err
	}
	if begin > d.start || m.Compressed > d.start-begin {
		return &DamagedError{"it would end inside the directory"}
	}
	body, err := open(begin, m.Compressed)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	packed := &counted{from: io.LimitReader(body, m.Compressed)}
	unpacked := io.Reader(packed)
	if m.Method == methodDeflate {
		inflater := flate.NewReader(bufio.NewReader(packed))
		defer func() { err = errors.Join(err, inflater.Close()) }()
		unpacked = inflater
	}
	return m.copy(out, unpacked, packed)
}

// copy compares what comes with what was declared.
func (m Member) copy(out io.Writer, unpacked io.Reader, packed *counted) error {
	sum := crc32.NewIEEE()
	to := &failing{to: io.MultiWriter(sum, out)}
	n, err := io.Copy(to, io.LimitReader(unpacked, m.Size))
	switch {
	case to.err != nil:
		return to.err
	case packed.err != nil:
		return fmt.Errorf("read the member: %w", packed.err)
	case err != nil && packed.n < m.Compressed && errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("read the member: %w", err)
	case err != nil:
		return &DamagedError{err.Error()}
	case n < m.Size:
		return &DamagedError{fmt.Sprintf("it has %d bytes, and the directory says %d", n, m.Size)}
	}
	var more [1]byte
	extra, _ := io.ReadFull(unpacked, more[:]) // an error means: no byte more
	switch {
	case extra > 0:
		return &DamagedError{fmt.Sprintf("it has more bytes than the %d that the directory says", m.Size)}
	case sum.Sum32() != m.CRC32:
		return &DamagedError{fmt.Sprintf("its CRC-32 is %08x, and the directory says %08x", sum.Sum32(), m.CRC32)}
	}
	return nil
}

// begin returns where the member's bytes begin. Only its local header knows.
func (m Member) begin(open Range) (int64, error) {
	header, err := read(open, m.offset, localLength)
	if err != nil {
		return 0, err
	}
	if string(header[:len(localSignature)]) != localSignature {
		return 0, &DamagedError{"it does not begin where the directory says"}
	}
	name, extra := binary.LittleEndian.Uint16(header[26:]), binary.LittleEndian.Uint16(header[28:])
	return m.offset + localLength + int64(name) + int64(extra), nil
}

// counted counts the bytes read, and keeps the error that is not the end.
type counted struct {
	from io.Reader
	n    int64
	err  error
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.n += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		c.err = err
	}
	return n, err
}

// failing keeps the error of a write.
type failing struct {
	to  io.Writer
	err error
}

func (f *failing) Write(p []byte) (int, error) {
	n, err := f.to.Write(p)
	if err != nil {
		f.err = err
	}
	return n, err
}
