package zipinspect

import (
	"bytes"
	"encoding/binary"
	"errors"
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

	// The record for large archives contains its own length, not counting this much of its
	// beginning.
	end64Uncounted = 12

	// Small fields with these values refer to a larger field elsewhere.
	elsewhere16 = 1<<16 - 1
	elsewhere32 = 1<<32 - 1
)

// errNoLocator: the end record has no locator before it, so a record for large archives does not
// exist.
var errNoLocator = errors.New("no locator")

// endRecord is an end record and its offset.
type endRecord struct {
	at        int64
	fields    []byte // endLength bytes
	behind    int64  // bytes after its comment
	ambiguous bool   // some programs pick another one
}

// endRecords returns the end records to try, the likeliest first: the one whose comment ends with
// the stream, then the last one whose comment fits at all. Bytes after the comment are common:
// libarchive pads its output to a pipe to 10 KiB, and page blobs are padded to 512 bytes.
func (t *zipTail) endRecords(size int64) []endRecord {
	for _, window := range [...]int64{endLength + commentMax, tailMax} {
		tail := t.last(window, size)
		if found := findEnds(tail, size-int64(len(tail))); len(found) > 0 {
			return found
		}
	}
	return nil
}

// findEnds does the work of endRecords for a tail that begins at the given offset of the stream.
func findEnds(tail []byte, offset int64) []endRecord {
	var found []endRecord
	last := bytes.LastIndex(tail, []byte(endSignature))
	for at := len(tail) - endLength; at >= 0; at-- {
		at = bytes.LastIndex(tail[:at+len(endSignature)], []byte(endSignature))
		if at < 0 {
			break
		}
		comment := int(binary.LittleEndian.Uint16(tail[at+endLength-2:]))
		end := endRecord{at: offset + int64(at), fields: tail[at : at+endLength],
			behind: int64(len(tail) - at - endLength - comment), ambiguous: at != last}
		if end.behind == 0 {
			return append([]endRecord{end}, found...)
		}
		if end.behind > 0 && len(found) == 0 {
			found = append(found, end)
		}
	}
	return found
}

// small reads the directory's place from the end record itself. An archive may really have the
// largest numbers there, without a record for large archives.
func (t *zipTail) small(end endRecord, _ int64) (directory, error) {
	d := end.directory()
	disk, here := binary.LittleEndian.Uint32(end.fields[4:]), binary.LittleEndian.Uint16(end.fields[8:])
	if disk != 0 || uint64(here) != d.entries {
		return directory{}, errVolume()
	}
	return d, nil
}

// large reads the directory's place from the record for large archives. That record counts whenever
// its locator precedes the end record: Info-ZIP writing from a pipe, and CPython between 2 and 4
// GiB, write it although the end record has real values.
func (t *zipTail) large(end endRecord, size int64) (directory, error) {
	locatorAt := end.at - locatorLength
	locator := t.slice(locatorAt, end.at, size)
	if !bytes.HasPrefix(locator, []byte(locatorSignature)) {
		return directory{}, errNoLocator
	}
	located := binary.LittleEndian.Uint64(locator[8:])
	record, at := t.record64(located, locatorAt, size)
	if record == nil {
		return directory{}, notAPackage("its end record for large archives is not where it should be")
	}
	d := end.directory()
	smaller := d
	d.entries = binary.LittleEndian.Uint64(record[32:])
	d.size = binary.LittleEndian.Uint64(record[40:])
	d.offset = binary.LittleEndian.Uint64(record[48:])
	d.end, d.located = at, located
	volumes := binary.LittleEndian.Uint32(locator[16:])
	if binary.LittleEndian.Uint64(record[16:]) != 0 || volumes > 1 ||
		binary.LittleEndian.Uint64(record[24:]) != d.entries {
		return directory{}, errVolume()
	}
	length := binary.LittleEndian.Uint64(record[4:])
	d.odd.contradicting = !d.agrees(smaller) || length != uint64(locatorAt-at-end64Uncounted)
	return d, nil
}

// record64 returns the record for large archives and its offset. It tries the locator's offset,
// then the bytes just before the locator, since the locator does not count bytes that were put
// before the archive.
func (t *zipTail) record64(located uint64, locatorAt, size int64) ([]byte, int64) {
	for _, at := range [...]uint64{located, uint64(locatorAt - end64Length)} {
		if at > uint64(size) || int64(at)+end64Length > locatorAt {
			continue
		}
		record := t.slice(int64(at), int64(at)+end64Length, size)
		if bytes.HasPrefix(record, []byte(end64Signature)) {
			return record, int64(at)
		}
	}
	return nil, 0
}

// directory returns the directory that the end record describes.
func (end endRecord) directory() directory {
	return directory{
		entries: uint64(binary.LittleEndian.Uint16(end.fields[10:])),
		size:    uint64(binary.LittleEndian.Uint32(end.fields[12:])),
		offset:  uint64(binary.LittleEndian.Uint32(end.fields[16:])),
		end:     end.at,
		odd:     oddities{ambiguous: end.ambiguous, behindEnd: uint64(end.behind)},
	}
}

// agrees reports whether the small record equals d in every field that does not refer to the large
// one.
func (d directory) agrees(small directory) bool {
	return (small.entries == elsewhere16 || small.entries == d.entries) &&
		(small.size == elsewhere32 || small.size == d.size) &&
		(small.offset == elsewhere32 || small.offset == d.offset)
}

func errVolume() error { return notAPackage("it is one volume of several: the others are missing") }
