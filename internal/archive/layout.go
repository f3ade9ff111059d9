package archive

import (
	"cmp"
	"slices"
)

// slack is the most that can lie between the data of an entry and the next one without being
// anybody's: the local header's name and extra field, whose lengths only that header has, and a data
// descriptor.
const slack = 2*(1<<16-1) + 24

// span is where an entry's bytes lie, at the least: a local header without name, and the data.
type span struct {
	offset, length uint64
	number         uint64 // of the entry, from 1
}

// layout reports whether the entries' spans lie one behind the other, from the first byte to the
// directory, and how many bytes between them are surely nobody's.
func layout(spans []span, d directory) (unowned uint64, err error) {
	slices.SortFunc(spans, func(a, b span) int {
		return cmp.Or(cmp.Compare(a.offset, b.offset), cmp.Compare(a.number, b.number))
	})
	if len(spans) == 0 {
		if d.offset > 0 {
			return 0, notAPackage("it has no entries, and %d bytes before its directory", d.offset)
		}
		return 0, nil
	}
	if first := spans[0].offset; first > 0 {
		return 0, notAPackage("%d bytes lie before its first entry", first)
	}
	for i, s := range spans {
		next := d.offset
		if i+1 < len(spans) {
			next = spans[i+1].offset
		}
		if s.offset >= d.offset || s.length > d.offset-s.offset {
			return 0, notAPackage("entry %d of its directory points outside", s.number)
		}
		if s.length > next-s.offset {
			return 0, notAPackage("entries %d and %d of its directory overlap",
				s.number, spans[i+1].number)
		}
		if gap := next - s.offset - s.length; gap > slack {
			unowned += gap - slack
		}
	}
	return unowned, nil
}
