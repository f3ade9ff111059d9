package zipinspect

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"packhorse/internal/investigation"
)

const (
	// topMax is how many top-level names are listed.
	topMax = 100

	// examplesMax is how many names all remarks quote together, and examplesEach how many one does.
	examplesMax  = 20
	examplesEach = 5

	// numberMax is the largest number that every JSON reader reads exactly.
	numberMax = 1<<53 - 1

	// An entry is called a bomb if it claims to grow by more than this factor, to more than this
	// many bytes.
	bombFactor = 1000
	bombSize   = 1 << 30
)

// The remarks about entries, in the order in which they are listed.
const (
	remarkLeadsOut = iota
	remarkControls
	remarkNoText
	remarkNoName
	remarkTwice
	remarkEncrypted
	remarkSymlink
	remarkBomb
	remarkKinds
)

// remarkTexts are the remarks for one entry and for several.
var remarkTexts = [remarkKinds][2]string{
	remarkLeadsOut: {"name leads out of the folder it is unpacked in",
		"names lead out of the folder they are unpacked in"},
	remarkControls: {"name has control characters", "names have control characters"},
	remarkNoText:   {"name is not UTF-8", "names are not UTF-8"},
	remarkNoName:   {"entry has no name", "entries have no name"},
	remarkTwice: {"entry has a name that an earlier one has",
		"entries have names that earlier ones have"},
	remarkEncrypted: {"entry claims to be encrypted", "entries claim to be encrypted"},
	remarkSymlink:   {"entry is a symbolic link", "entries are symbolic links"},
	remarkBomb: {"entry claims to grow to more than a thousand times its size",
		"entries claim to grow to more than a thousand times their size"},
}

// listing accumulates facts about the entries one by one.
type listing struct {
	entries      int64
	uncompressed uint64
	names        map[string]struct{}
	top          map[string]struct{}
	counts       [remarkKinds]int
	quoted       [remarkKinds][]string
	examples     int
	odd          oddities
}

// newListing returns an empty listing with room for the given number of entries.
func newListing(entries int) *listing {
	return &listing{names: make(map[string]struct{}, entries), top: map[string]struct{}{}}
}

// add takes the next entry.
func (l *listing) add(e entry) {
	l.entries++
	l.uncompressed = min(l.uncompressed, numberMax+1) + min(e.uncompressed, numberMax+1)
	fine := true // to be listed
	for kind, is := range [remarkKinds]bool{
		remarkLeadsOut: leadsOut(e.name),
		remarkControls: hasControls(e.name),
		remarkNoText:   !isText(e.name),
		remarkNoName:   len(e.name) == 0,
	} {
		if is {
			l.remark(kind, e.name)
			fine = false
		}
	}
	if _, twice := l.names[string(e.name)]; twice {
		l.remark(remarkTwice, e.name)
	} else {
		l.names[string(e.name)] = struct{}{}
	}
	if fine {
		l.top[topOf(e.name)] = struct{}{}
	}
	if e.encrypted() {
		l.remark(remarkEncrypted, e.name)
	}
	if e.symlink() {
		l.remark(remarkSymlink, e.name)
	}
	if e.uncompressed > bombSize && e.uncompressed/bombFactor > e.compressed {
		l.remark(remarkBomb, e.name)
	}
}

func (l *listing) remark(kind int, name []byte) {
	l.counts[kind]++
	if l.examples < examplesMax && len(l.quoted[kind]) < examplesEach {
		l.quoted[kind] = append(l.quoted[kind], fmt.Sprintf("%q", cutBytes(name)))
		l.examples++
	}
}

// content returns the listing's result. It depends only on the directory's bytes.
func (l *listing) content() investigation.Content {
	c := investigation.Content{
		Entries:          l.entries,
		UncompressedSize: int64(min(l.uncompressed, numberMax)),
		TopLevel:         slices.Sorted(maps.Keys(l.top)),
	}
	for kind, count := range l.counts {
		if count > 0 {
			c.Remarks = append(c.Remarks, sentence(kind, count, l.quoted[kind]))
		}
	}
	c.Remarks = append(c.Remarks, l.odd.remarks()...)
	if l.uncompressed > numberMax {
		c.Remarks = append(c.Remarks, fmt.Sprintf(
			"The entries claim to grow to more than %d bytes together.", int64(numberMax)))
	}
	if more := len(c.TopLevel) - topMax; more > 0 {
		c.TopLevel = c.TopLevel[:topMax:topMax]
		c.Remarks = append(c.Remarks, fmt.Sprintf(
			"At the top there are %d names more than are listed.", more))
	}
	return c
}

func sentence(kind, count int, quoted []string) string {
	text := remarkTexts[kind][0]
	if count > 1 {
		text = remarkTexts[kind][1]
	}
	s := fmt.Sprintf("%d %s", count, text)
	if len(quoted) > 0 {
		s += ": " + strings.Join(quoted, ", ")
	}
	if more := count - len(quoted); more > 0 && len(quoted) > 0 {
		s += fmt.Sprintf(" and %d more", more)
	}
	return s + "."
}

// cutBytes returns the part of a name that may be quoted.
func cutBytes(name []byte) []byte { return name[:min(len(name), quotedMax)] }
