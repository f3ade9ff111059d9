package archive

import (
	"fmt"

	"packhorse/internal/investigation"
)

// localSignature begins every ZIP that has entries.
const localSignature = "PK\x03\x04"

// inventory says what is in a stream of the given size, provided that it is a ZIP and nothing else:
// it begins like one, ends with the end record, the directory lies just before that and has as many
// entries as it says, and these lie one behind the other from the first byte on. Nothing is
// unpacked: all of it is what the directory claims. Errors wrap investigation.ErrNotAPackage.
//
// What is hostile is still a package, and evidence. It gets a remark.
func (t *zipTail) inventory(size int64) (investigation.Content, error) {
	if first := string(t.first[:]); first != localSignature && first != endSignature {
		return investigation.Content{}, notAPackage("it does not begin like a ZIP (%d bytes came)", size)
	}
	d, err := t.directory(size)
	if err != nil {
		return investigation.Content{}, err
	}
	if d.size > uint64(d.end) || d.offset != uint64(d.end)-d.size {
		return investigation.Content{}, notAPackage(
			"its directory (%d bytes at %d) does not end where its end record begins (%d)",
			d.size, d.offset, d.end)
	}
	if d.entries > d.size/directoryLength {
		return investigation.Content{}, notAPackage(
			"its directory says it has %d entries, for which %d bytes are too few", d.entries, d.size)
	}
	tail := t.last(size-int64(d.offset), size)
	if int64(len(tail)) < size-int64(d.offset) {
		return investigation.Content{Entries: int64(d.entries), Remarks: []string{fmt.Sprintf(
			"The directory has %d bytes, more than are looked at: what is in the package is not known.",
			d.size)}}, nil
	}
	return walk(tail[:d.size], d)
}

// walk goes through the directory's entries.
func walk(p []byte, d directory) (investigation.Content, error) {
	l := newListing(int(d.entries))
	spans := make([]span, 0, d.entries)
	for len(p) > 0 {
		e, rest, err := nextEntry(p, uint64(len(spans))+1)
		if err != nil {
			return investigation.Content{}, err
		}
		length := e.compressed + localLength
		if length < e.compressed {
			return investigation.Content{}, notAPackage("entry %d of its directory points outside",
				len(spans)+1)
		}
		spans = append(spans, span{offset: e.offset, length: length, number: uint64(len(spans)) + 1})
		l.add(e)
		p = rest
	}
	if uint64(len(spans)) != d.entries {
		return investigation.Content{}, notAPackage("its directory has %d entries and says %d",
			len(spans), d.entries)
	}
	unowned, err := layout(spans, d)
	if err != nil {
		return investigation.Content{}, err
	}
	l.unowned, l.ambiguous = unowned, d.ambiguous
	return l.content(), nil
}

func notAPackage(format string, args ...any) error {
	return fmt.Errorf("%w: %s", investigation.ErrNotAPackage, fmt.Sprintf(format, args...))
}
