// Package storezip writes ZIP files whose entries are stored as they are, not compressed.
//
// Unlike archive/zip, it can take back an entry, or give it another name, after its bytes were written: whether
// a package belongs into an export is known only once all of it was read. Every local header has the entry's
// size and CRC-32, so that programs that read a ZIP from front to back can read it too. There is no limit but
// ZIP64's on sizes and numbers.
package storezip

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"
)

// Target receives the ZIP. It MUST be empty.
type Target interface {
	io.WriterAt
	Truncate(size int64) error
}

// Writer writes one ZIP. It is not safe for concurrent use.
type Writer struct {
	target  Target
	at      int64 // where the next entry begins
	time    [2]uint16
	entries []entry
	names   map[string]bool
	open    *Entry
}

// entry is a finished entry.
type entry struct {
	name   string
	offset int64
	size   int64
	crc    uint32
}

var (
	errOpen   = errors.New("storezip: the previous entry is still open")
	errClosed = errors.New("storezip: the entry is closed")
)

// New returns a Writer. All entries get the same time of modification, in UTC and to two seconds.
func New(target Target, modified time.Time) *Writer {
	return &Writer{target: target, time: dosTime(modified), names: map[string]bool{}}
}

// dosTime returns the time and the date of a header. They reach from 1980 to 2107.
func dosTime(t time.Time) [2]uint16 {
	t = t.UTC()
	year := min(max(t.Year(), 1980), 2107)
	return [2]uint16{
		uint16(t.Hour()<<11 | t.Minute()<<5 | t.Second()/2),
		uint16((year-1980)<<9 | int(t.Month())<<5 | t.Day()),
	}
}

// Entry is the entry being written. Its end is [Entry.Close] or [Entry.Discard].
type Entry struct {
	w      *Writer
	name   string
	offset int64
	header int64 // bytes of the local header; they do not change when the name does
	size   int64
	crc    uint32
}

const (
	localLength     = 30
	directoryLength = 46
	zip64Length     = 20 // of the local header's ZIP64 field: id, length, two sizes
	// room is how much longer the name may become, in bytes.
	room = 32
	// fieldLength is the length of an extra field without data.
	fieldLength = 4
	nameMax     = 1 << 15
)

// Create begins an entry. The name MUST be a relative path with slashes, in ASCII.
func (w *Writer) Create(name string) (*Entry, error) {
	switch {
	case w.open != nil:
		return nil, errOpen
	case w.names[name]:
		return nil, fmt.Errorf("storezip: %q exists twice", name)
	case len(name) > nameMax:
		return nil, fmt.Errorf("storezip: the name %.40q is too long", name)
	}
	w.open = &Entry{
		w: w, name: name, offset: w.at, header: int64(localLength + len(name) + zip64Length + fieldLength + room),
	}
	return w.open, nil
}

// Write implements io.Writer.
func (e *Entry) Write(p []byte) (int, error) {
	if e.w.open != e {
		return 0, errClosed
	}
	n, err := e.w.target.WriteAt(p, e.offset+e.header+e.size)
	e.crc = crc32.Update(e.crc, crc32.IEEETable, p[:n])
	e.size += int64(n)
	return n, err
}

// Rename gives the entry another name, which may be up to 32 bytes longer.
func (e *Entry) Rename(name string) error {
	if e.w.names[name] {
		return fmt.Errorf("storezip: %q exists twice", name)
	}
	if localLength+int64(len(name))+zip64Length+fieldLength > e.header {
		return fmt.Errorf("storezip: %.80q is too long a name to rename %.80q to", name, e.name)
	}
	e.name = name
	return nil
}

// Close ends the entry and writes its header.
func (e *Entry) Close() error {
	if e.w.open != e {
		return errClosed
	}
	_, err := e.w.target.WriteAt(e.localHeader(), e.offset)
	if err != nil {
		return err
	}
	e.w.open = nil
	e.w.at = e.offset + e.header + e.size
	e.w.names[e.name] = true
	e.w.entries = append(e.w.entries, entry{e.name, e.offset, e.size, e.crc})
	return nil
}

// Discard takes the entry back.
func (e *Entry) Discard() error {
	if e.w.open != e {
		return errClosed
	}
	e.w.open = nil
	return e.w.target.Truncate(e.offset)
}

const (
	signatureLocal     = 0x04034b50
	signatureDirectory = 0x02014b50
	signatureEnd64     = 0x06064b50
	signatureLocator64 = 0x07064b50
	signatureEnd       = 0x06054b50

	version45 = 45               // the first with ZIP64
	madeBy    = 3<<8 | version45 // Unix, whose attributes the directory has
	mode      = 0o100644 << 16   // a regular file

	field64  = 0x0001
	fieldPad = 0xa220 // Microsoft's "growth hint": padding

	full16 = 0xffff
	full32 = 0xffffffff
)

var le = binary.LittleEndian

// localHeader always has the ZIP64 field, because the size is not known when room is made for the header, and
// a padding that takes up what the name leaves.
func (e *Entry) localHeader() []byte {
	extra := int(e.header) - localLength - len(e.name)
	h := make([]byte, 0, e.header)
	h = le.AppendUint32(h, signatureLocal)
	h = le.AppendUint16(h, version45)
	h = le.AppendUint16(h, 0) // flags
	h = le.AppendUint16(h, 0) // stored
	h = le.AppendUint16(h, e.w.time[0])
	h = le.AppendUint16(h, e.w.time[1])
	h = le.AppendUint32(h, e.crc)
	h = le.AppendUint32(h, full32)
	h = le.AppendUint32(h, full32)
	h = le.AppendUint16(h, uint16(len(e.name)))
	h = le.AppendUint16(h, uint16(extra))
	h = append(h, e.name...)
	h = le.AppendUint16(h, field64)
	h = le.AppendUint16(h, zip64Length-fieldLength)
	h = le.AppendUint64(h, uint64(e.size))
	h = le.AppendUint64(h, uint64(e.size))
	h = le.AppendUint16(h, fieldPad)
	h = le.AppendUint16(h, uint16(extra-zip64Length-fieldLength))
	return append(h, make([]byte, int(e.header)-len(h))...)
}

// Close writes the directory. Without it the target is not a ZIP.
func (w *Writer) Close() error {
	if w.open != nil {
		return errOpen
	}
	start := w.at
	const chunk = 64 << 10
	buf := make([]byte, 0, chunk+directoryLength+nameMax)
	flush := func() error {
		n, err := w.target.WriteAt(buf, w.at)
		w.at += int64(n)
		buf = buf[:0]
		return err
	}
	for _, e := range w.entries {
		buf = w.appendDirectory(buf, e)
		if len(buf) < chunk {
			continue
		}
		err := flush()
		if err != nil {
			return err
		}
	}
	end := w.at + int64(len(buf))
	buf = appendEnd(buf, int64(len(w.entries)), start, end)
	return flush()
}

func (w *Writer) appendDirectory(h []byte, e entry) []byte {
	var extra []byte
	size, offset := uint32(full32), uint32(full32)
	if e.size >= full32 {
		extra = le.AppendUint64(le.AppendUint64(extra, uint64(e.size)), uint64(e.size))
	} else {
		size = uint32(e.size)
	}
	if e.offset >= full32 {
		extra = le.AppendUint64(extra, uint64(e.offset))
	} else {
		offset = uint32(e.offset)
	}
	if len(extra) > 0 {
		field := le.AppendUint16(le.AppendUint16(nil, field64), uint16(len(extra)))
		extra = append(field, extra...)
	}
	h = le.AppendUint32(h, signatureDirectory)
	h = le.AppendUint16(h, madeBy)
	h = le.AppendUint16(h, version45)
	h = le.AppendUint16(h, 0) // flags
	h = le.AppendUint16(h, 0) // stored
	h = le.AppendUint16(h, w.time[0])
	h = le.AppendUint16(h, w.time[1])
	h = le.AppendUint32(h, e.crc)
	h = le.AppendUint32(h, size)
	h = le.AppendUint32(h, size)
	h = le.AppendUint16(h, uint16(len(e.name)))
	h = le.AppendUint16(h, uint16(len(extra)))
	h = le.AppendUint16(h, 0) // comment
	h = le.AppendUint16(h, 0) // disk
	h = le.AppendUint16(h, 0) // internal attributes
	h = le.AppendUint32(h, mode)
	h = le.AppendUint32(h, offset)
	h = append(h, e.name...)
	return append(h, extra...)
}

// appendEnd appends the end record of a directory from start to end, and ZIP64's if the numbers need it.
func appendEnd(h []byte, entries, start, end int64) []byte {
	size := end - start
	if entries >= full16 || size >= full32 || start >= full32 {
		h = le.AppendUint32(h, signatureEnd64)
		h = le.AppendUint64(h, 44) // bytes that follow, up to the locator
		h = le.AppendUint16(h, madeBy)
		h = le.AppendUint16(h, version45)
		h = le.AppendUint32(h, 0) // disk
		h = le.AppendUint32(h, 0) // disk of the directory
		h = le.AppendUint64(h, uint64(entries))
		h = le.AppendUint64(h, uint64(entries))
		h = le.AppendUint64(h, uint64(size))
		h = le.AppendUint64(h, uint64(start))
		h = le.AppendUint32(h, signatureLocator64)
		h = le.AppendUint32(h, 0) // disk
		h = le.AppendUint64(h, uint64(end))
		h = le.AppendUint32(h, 1) // disks
	}
	h = le.AppendUint32(h, signatureEnd)
	h = le.AppendUint16(h, 0) // disk
	h = le.AppendUint16(h, 0) // disk of the directory
	h = le.AppendUint16(h, uint16(min(entries, full16)))
	h = le.AppendUint16(h, uint16(min(entries, full16)))
	h = le.AppendUint32(h, uint32(min(size, full32)))
	h = le.AppendUint32(h, uint32(min(start, full32)))
	return le.AppendUint16(h, 0) // comment
}
