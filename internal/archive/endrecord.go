package archive

import (
	"bytes"
	"encoding/binary"
)

// The records at a ZIP's end. Source: APPNOTE.TXT 6.3.10, sections 4.3.12 to 4.3.16.
const (
	endSignature     = "PK\x05\x06"
	end64Signature   = "PK\x06\x06"
	locatorSignature = "PK\x06\x07"

	endLength     = 22 // without comment
	end64Length   = 56
	locatorLength = 20
	commentMax    = 1<<16 - 1

	// The record for large archives says its own length, without this much of its beginning.
	end64Uncounted = 12

	// What a small field holds whose value stands elsewhere, in a larger one.
	elsewhere16 = 1<<16 - 1
	elsewhere32 = 1<<32 - 1
)

// directory is where a ZIP says its central directory lies.
type directory struct {
	entries, size, offset uint64
	end                   int64 // where the first record behind the directory begins
	ambiguous             bool  // some programs take another end record for it
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
		// Those that search from the end do not all ask whether the comment's length fits.
		ambiguous: bytes.LastIndex(tail, []byte(endSignature)) != at,
	}
	here := uint64(binary.LittleEndian.Uint16(end[8:]))
	if d.entries == elsewhere16 || d.size == elsewhere32 || d.offset == elsewhere32 {
		return directory64(tail, at, base, d)
	}
	if binary.LittleEndian.Uint32(end[4:]) != 0 || here != d.entries {
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
	record := tail[from:locator]
	if length := binary.LittleEndian.Uint64(record[4:]); length != uint64(len(record)-end64Uncounted) {
		return directory{}, notAPackage(
			"its end record for large archives has %d bytes and says %d", len(record)-end64Uncounted, length)
	}
	d := directory{
		entries: binary.LittleEndian.Uint64(record[32:]),
		size:    binary.LittleEndian.Uint64(record[40:]),
		offset:  binary.LittleEndian.Uint64(record[48:]),
		end:     int64(offset),

		ambiguous: small.ambiguous,
	}
	volumes := binary.LittleEndian.Uint32(tail[locator+16:])
	if binary.LittleEndian.Uint64(record[16:]) != 0 || volumes > 1 ||
		binary.LittleEndian.Uint64(record[24:]) != d.entries {
		return directory{}, notAPackage("it is one volume of several")
	}
	if !small.agrees(d) {
		return directory{}, notAPackage("its two end records contradict one another")
	}
	return d, nil
}

// agrees reports whether d says the same wherever the small record does not point to it.
func (small directory) agrees(d directory) bool {
	return (small.entries == elsewhere16 || small.entries == d.entries) &&
		(small.size == elsewhere32 || small.size == d.size) &&
		(small.offset == elsewhere32 || small.offset == d.offset)
}
