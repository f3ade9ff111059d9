package zipinspect

import (
	"bytes"
	"errors"
)

// The first bytes of a ZIP.
const (
	// localSignature begins every entry.
	localSignature = "PK\x03\x04"

	// A marker may stand before the first entry: of a ZIP in volumes, and of one that was to be split
	// and fits in one volume.
	splitSignature  = "PK\x07\x08"
	singleSignature = "PK00"
)

// directory is where a ZIP's central directory lies.
type directory struct {
	entries, size, offset uint64 // as an end record has them
	end                   int64  // where the first record behind the directory begins
	located               uint64 // where the locator has that record; 0: there is none

	start int64  // where in the stream the directory begins
	base  uint64 // what offsets are counted from: that many bytes were put before the archive
	odd   oddities
}

// directory finds the central directory by the first end record that leads to one.
func (t *zipTail) directory(size int64) (directory, error) {
	var why error
	for _, end := range t.endRecords(size) {
		for _, read := range [...]func(endRecord, int64) (directory, error){t.large, t.small} {
			d, err := read(end, size)
			if err == nil {
				d, err = t.place(d, size)
			}
			if err == nil {
				d.odd.contradicting = d.odd.contradicting || why != nil ||
					d.located != 0 && d.located+d.base != uint64(d.end)
				return d, nil
			}
			if why == nil && !errors.Is(err, errNoLocator) {
				why = err
			}
		}
	}
	switch {
	case why != nil:
		return directory{}, why
	case string(t.first[:]) == splitSignature:
		return directory{}, notAPackage("it has no end record: it is the first volume of several, or cut off")
	case !t.beginsLikeZip():
		return directory{}, notAPackage("it does not begin like a ZIP (%d bytes came)", size)
	}
	return directory{}, notAPackage("it has no end record: it is cut off, or no ZIP")
}

// place finds out where in the stream the directory is. Usually it ends where the next record
// begins; if its offset is then too small, by so much the whole archive was moved: bytes were put
// before it. If no entry begins there, its size is wrong or something lies between it and that
// record, and it is looked for where its offset says.
func (t *zipTail) place(d directory, size int64) (directory, error) {
	start := uint64(d.end) - d.size
	switch {
	case d.size <= uint64(d.end) && d.offset <= start && t.mayBegin(int64(start), d, size):
		d.start, d.base = int64(start), start-d.offset
	case d.offset < uint64(d.end) && t.begins(int64(d.offset), size):
		d.start = int64(d.offset)
	default:
		return directory{}, notAPackage(
			"its directory (%d bytes at %d) does not end where its end record begins (%d)",
			d.size, d.offset, d.end)
	}
	// A package that was cut off right after a ZIP inside it looks like that ZIP, moved.
	if d.base > 0 && t.beginsLikeZip() {
		return directory{}, notAPackage("it begins like a ZIP, and its end record is of one that "+
			"begins at %d: it is cut off, or several were joined", d.base)
	}
	if d.entries > uint64(d.end-d.start)/directoryLength {
		return directory{}, notAPackage(
			"its directory says it has %d entries, for which %d bytes are too few",
			d.entries, d.end-d.start)
	}
	return d, nil
}

// mayBegin reports whether the directory can begin there: an entry does, it has none, or it is so
// large that its beginning was not kept.
func (t *zipTail) mayBegin(at int64, d directory, size int64) bool {
	return d.size == 0 && d.entries == 0 || size-at > int64(len(t.ring)) || t.begins(at, size)
}

// begins reports whether an entry of a directory begins there.
func (t *zipTail) begins(at, size int64) bool {
	return bytes.HasPrefix(t.slice(at, at+directoryLength, size), []byte(directorySignature))
}

// beginsLikeZip reports whether the stream begins with an entry, or with the marker before one.
func (t *zipTail) beginsLikeZip() bool {
	switch string(t.first[:]) {
	case localSignature, splitSignature, singleSignature:
		return true
	}
	return false
}
