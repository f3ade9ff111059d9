package zipinspect

import (
	"bytes"
	"errors"
)

// The first bytes of a ZIP.
const (
	// localSignature begins every entry.
	localSignature = "PK\x03\x04"

	// The first entry may have a marker before it, which says that the ZIP is one volume of
	// several, or was to be split but fit into one volume.
	splitSignature  = "PK\x07\x08"
	singleSignature = "PK00"
)

// directory locates a ZIP's central directory.
type directory struct {
	entries, size, offset uint64 // from an end record
	end                   int64  // start of the first record after the directory
	located               uint64 // that record's offset in the locator; 0: no locator

	start int64  // start of the directory in the stream
	base  uint64 // number of bytes before the archive that its offsets do not count
	odd   oddities
}

// directory finds the central directory with the first end record that leads to one.
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
		return directory{}, notAPackage("it has no end record: it is cut off, or the first volume of several")
	case !t.beginsLikeZip():
		return directory{}, notAPackage("it does not begin like a ZIP (%d bytes received)", size)
	}
	return directory{}, notAPackage("it has no end record: it is cut off, or not a ZIP")
}

// place locates the directory in the stream. Usually the directory ends where the next record
// begins. If its offset is then too small, bytes were put before the archive, and the difference is
// how many. If no entry begins there, the directory's size is wrong or something lies between it
// and that record, so place tries its offset instead.
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
	// A package that was cut off right after an embedded ZIP looks like that ZIP, moved.
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

// mayBegin reports whether the directory can begin there: an entry begins there, the directory is
// empty, or it is so large that its beginning was not kept.
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
