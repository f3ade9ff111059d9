package zipinspect

import (
	"bytes"
	"fmt"

	"packhorse/internal/investigation"
)

// inventory describes a stream of the given size if it is a whole ZIP: its end record leads to a
// directory with at least as many entries as declared, and the bytes of each entry precede the
// directory. The description is what the directory claims; nothing is unpacked. Errors wrap
// investigation.ErrNotAPackage.
//
// A ZIP that any common program unpacks whole is a package, however odd or hostile: it is evidence,
// and gets a remark. A stream is refused if parts of it are missing by its own account (it was cut
// off, or is one volume of several), or if its end records do not lead to a directory.
func (t *zipTail) inventory(size int64) (investigation.Content, error) {
	d, err := t.directory(size)
	if err != nil {
		return investigation.Content{}, err
	}
	p := t.slice(d.start, d.end, size)
	if int64(len(p)) < d.end-d.start {
		return d.unread(t.beginsLikeZip()), nil
	}
	return t.walk(p, d)
}

// unread is the remark about a directory that is too large to read.
func (d directory) unread(begins bool) investigation.Content {
	d.odd.before = d.base
	remarks := append(d.odd.remarks(), fmt.Sprintf(
		"The directory has %d bytes, more than are looked at: what is in the package is not known.",
		d.size))
	if !begins && d.base == 0 {
		remarks = append(remarks, "It does not begin with an entry.")
	}
	return investigation.Content{Entries: int64(d.entries), Remarks: remarks}
}

// walk reads the directory's entries and counts them, since an end record without the larger fields
// may have only the lower 16 bits of their number.
func (t *zipTail) walk(p []byte, d directory) (investigation.Content, error) {
	l := newListing(int(d.entries)) // place checked that p has room for that many
	spans := make([]span, 0, d.entries)
	rest := p
	for bytes.HasPrefix(rest, []byte(directorySignature)) {
		number := uint64(len(spans)) + 1
		e, next, err := nextEntry(rest, number)
		if err != nil {
			return investigation.Content{}, err
		}
		offset := e.offset + d.base
		length := e.compressed + localLength
		if length < e.compressed || offset < e.offset {
			return investigation.Content{}, notAPackage("entry %d of its directory points outside", number)
		}
		spans = append(spans, span{offset: offset, length: length, number: number})
		l.add(e)
		rest = next
	}
	if found := uint64(len(spans)); found < d.entries {
		return investigation.Content{}, notAPackage("its directory has %d entries and says %d",
			found, d.entries)
	}
	if err := layout(spans, uint64(d.start), &d.odd); err != nil {
		return investigation.Content{}, err
	}
	if len(spans) > 0 && d.odd.before == 0 && string(t.first[:]) != localSignature {
		return investigation.Content{}, notAPackage("its first entry is not where its directory says")
	}
	d.odd.behind = uint64(len(rest))
	if found := uint64(len(p) - len(rest)); uint64(len(spans)) != d.entries ||
		d.size != found && d.size != uint64(len(p)) {
		d.odd.contradicting = true
	}
	l.odd = d.odd
	return l.content(), nil
}

func notAPackage(format string, args ...any) error {
	return fmt.Errorf("%w: %s", investigation.ErrNotAPackage, fmt.Sprintf(format, args...))
}
