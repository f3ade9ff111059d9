package archive

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"packhorse/internal/investigation"
)

// tailMax is how much of a package's end is kept for a look at its directory, in bytes: some 80,000
// entries. Of a directory that is larger only the end record is checked.
const tailMax = 8 << 20

// The records at a ZIP's end. Source: APPNOTE.TXT 6.3.10, sections 4.3.12 to 4.3.16.
const (
	localSignature     = "PK\x03\x04"
	directorySignature = "PK\x01\x02"
	endSignature       = "PK\x05\x06"
	end64Signature     = "PK\x06\x06"
	locatorSignature   = "PK\x06\x07"

	directoryLength = 46 // without name, extra field and comment
	endLength       = 22 // without comment
	end64Length     = 56
	locatorLength   = 20
	commentMax      = 1<<16 - 1
)

// zipTail keeps the first bytes and the last ones of a stream. The zero zipTail is ready for use.
type zipTail struct {
	first [4]byte
	ring  []byte // the last bytes; once tailMax long it wraps at size % tailMax
}

// write takes p, which begins at the given offset of the stream.
func (t *zipTail) write(p []byte, offset int64) {
	if offset < int64(len(t.first)) {
		copy(t.first[offset:], p)
	}
	if room := tailMax - len(t.ring); room > 0 {
		n := min(room, len(p))
		t.ring = append(t.ring, p[:n]...)
		p, offset = p[n:], offset+int64(n)
	}
	if skip := len(p) - tailMax; skip > 0 {
		p, offset = p[skip:], offset+int64(skip)
	}
	for len(p) > 0 {
		n := copy(t.ring[offset%tailMax:], p)
		p, offset = p[n:], offset+int64(n)
	}
}

// last returns the last n bytes of a stream of the given size, or as many as were kept.
func (t *zipTail) last(n, size int64) []byte {
	n = min(n, size, int64(len(t.ring)))
	if n == 0 {
		return nil
	}
	from, to := (size-n)%tailMax, size%tailMax
	if from < to {
		return t.ring[from:to]
	}
	return append(bytes.Clone(t.ring[from:]), t.ring[:to]...)
}

// directory is where a ZIP says its central directory lies.
type directory struct {
	entries, size, offset uint64
	end                   int64 // where the first record behind the directory begins
}

// check reports whether a stream of the given size is a ZIP and nothing else: it begins like one,
// ends with the end record, and the directory lies just before that and has as many entries as it
// says. Nothing is unpacked. Errors wrap investigation.ErrNotAPackage.
func (t *zipTail) check(size int64) error {
	if first := string(t.first[:]); first != localSignature && first != endSignature {
		return notAPackage("it does not begin like a ZIP (%d bytes came)", size)
	}
	d, err := t.directory(size)
	if err != nil {
		return err
	}
	if d.size > uint64(d.end) || d.offset != uint64(d.end)-d.size {
		return notAPackage("its directory (%d bytes at %d) does not end where its end record begins (%d)",
			d.size, d.offset, d.end)
	}
	tail := t.last(size-int64(d.offset), size)
	if int64(len(tail)) < size-int64(d.offset) {
		return nil // larger than what is kept
	}
	return walk(tail[:d.size], d)
}

// directory reads the end record, and the one for large archives where there is one.
func (t *zipTail) directory(size int64) (directory, error) {
	tail := t.last(endLength+commentMax+locatorLength+end64Length, size)
	base := size - int64(len(tail)) // the offset of tail in the stream
	at := endRecord(tail)
	if at < 0 {
		return directory{}, notAPackage("it has no end record: it is cut off, or no ZIP")
	}
	end := tail[at:]
	d := directory{
		entries: uint64(binary.LittleEndian.Uint16(end[10:])),
		size:    uint64(binary.LittleEndian.Uint32(end[12:])),
		offset:  uint64(binary.LittleEndian.Uint32(end[16:])),
		end:     base + int64(at),
	}
	if d.entries == 1<<16-1 || d.size == 1<<32-1 || d.offset == 1<<32-1 {
		return directory64(tail, at, base, d)
	}
	if binary.LittleEndian.Uint32(end[4:]) != 0 {
		return directory{}, notAPackage("it is one volume of several")
	}
	return d, nil
}

// endRecord returns where in tail the end record begins whose comment ends with the stream, or -1.
func endRecord(tail []byte) int {
	for at := len(tail) - endLength; at >= 0; at-- {
		at = bytes.LastIndex(tail[:at+len(endSignature)], []byte(endSignature))
		if at < 0 {
			return -1
		}
		comment := int(binary.LittleEndian.Uint16(tail[at+endLength-2:]))
		if at+endLength+comment == len(tail) {
			return at
		}
	}
	return -1
}

// directory64 reads the record for large archives before the end record at tail[at:]. An archive
// may have just the largest number and no such record.
func directory64(tail []byte, at int, base int64, small directory) (directory, error) {
	locator := at - locatorLength
	if locator < 0 || !bytes.HasPrefix(tail[locator:], []byte(locatorSignature)) {
		return small, nil
	}
	offset := binary.LittleEndian.Uint64(tail[locator+8:])
	from := int64(offset) - base
	if offset > 1<<62 || from < 0 || from+end64Length > int64(locator) ||
		!bytes.HasPrefix(tail[from:], []byte(end64Signature)) {
		return directory{}, notAPackage("its end record for large archives is not where it should be")
	}
	record := tail[from:]
	return directory{
		entries: binary.LittleEndian.Uint64(record[32:]),
		size:    binary.LittleEndian.Uint64(record[40:]),
		offset:  binary.LittleEndian.Uint64(record[48:]),
		end:     int64(offset),
	}, nil
}

// walk goes through the directory's entries.
func walk(p []byte, d directory) error {
	var entries uint64
	for len(p) > 0 {
		if len(p) < directoryLength || !bytes.HasPrefix(p, []byte(directorySignature)) {
			return notAPackage("entry %d of its directory is broken", entries+1)
		}
		length := directoryLength + int(binary.LittleEndian.Uint16(p[28:])) +
			int(binary.LittleEndian.Uint16(p[30:])) + int(binary.LittleEndian.Uint16(p[32:]))
		local := uint64(binary.LittleEndian.Uint32(p[42:]))
		if length > len(p) || (local != 1<<32-1 && local >= d.offset) {
			return notAPackage("entry %d of its directory points outside", entries+1)
		}
		p = p[length:]
		entries++
	}
	if entries != d.entries {
		return notAPackage("its directory has %d entries and says %d", entries, d.entries)
	}
	return nil
}

func notAPackage(format string, args ...any) error {
	return fmt.Errorf("%w: %s", investigation.ErrNotAPackage, fmt.Sprintf(format, args...))
}
