package zipinspect

import (
	"cmp"
	"slices"
)

// slack is the most bytes that can lie between the data of an entry and the next entry and still be
// accounted for: the local header's name and extra field, whose lengths only that header has, and a
// data descriptor.
const slack = 2*(1<<16-1) + 24

// span is the minimal extent of an entry: a local header without name, and the data.
type span struct {
	offset, length uint64
	number         uint64 // of the entry, from 1
}

// layout checks that every entry precedes the directory, and notes gaps and overlaps in odd. It
// sorts the spans.
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
	covered := odd.before // all bytes before it are accounted for
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
