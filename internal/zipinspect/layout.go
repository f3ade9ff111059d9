package zipinspect

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

// layout checks that every entry lies before the directory, and notes in odd what lies between them
// or over one another. It sorts the spans.
func layout(spans []span, start uint64, odd *oddities) error {
	if len(spans) == 0 {
		if start > 0 {
			return notAPackage("it has no entries, and %d bytes before its directory", start)
		}
		return nil
	}
	slices.SortFunc(spans, func(a, b span) int {
		return cmp.Or(cmp.Compare(a.offset, b.offset), cmp.Compare(a.number, b.number))
	})
	odd.before = spans[0].offset
	covered := odd.before // up to here bytes are accounted for
	for _, s := range spans {
		if s.offset >= start || s.length > start-s.offset {
			return notAPackage("entry %d of its directory points outside", s.number)
		}
		if s.offset < covered {
			odd.overlapping++
		} else if gap := s.offset - covered; gap > slack {
			odd.unowned += gap - slack
		}
		covered = max(covered, s.offset+s.length)
	}
	if gap := start - covered; gap > slack {
		odd.unowned += gap - slack
	}
	return nil
}
