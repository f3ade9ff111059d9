package zipinspect

import "fmt"

// oddities are the unusual properties of a ZIP's layout. Common programs read such a ZIP anyway, so
// it is still a package.
type oddities struct {
	ambiguous     bool   // some programs pick another end record
	contradicting bool   // the end records contradict one another, or the directory
	before        uint64 // bytes before the first entry
	unowned       uint64 // bytes between the entries
	overlapping   int    // entries
	behind        uint64 // bytes between the directory and the end record
	behindEnd     uint64 // bytes after the end record and its comment
}

// remarks describes the oddities, one sentence each.
func (o oddities) remarks() []string {
	var remarks []string
	say := func(format string, args ...any) { remarks = append(remarks, fmt.Sprintf(format, args...)) }
	if o.ambiguous {
		say("The comment has another end record in it: some programs will see other entries.")
	}
	if o.contradicting {
		say("The end records contradict one another or the directory: " +
			"some programs will see other entries, or none.")
	}
	if o.before > 0 {
		say("%s before the first entry, outside any entry.", bytesLie(o.before))
	}
	if o.unowned > 0 {
		say("At least %d bytes lie between the entries and belong to none.", o.unowned)
	}
	if o.overlapping > 0 {
		say("Entries overlap, %d of them: they may unpack to far more than the package holds.",
			o.overlapping)
	}
	if o.behind > 0 {
		say("%s between the directory and the end record.", bytesLie(o.behind))
	}
	if o.behindEnd > 0 {
		say("%s after the end record.", bytesLie(o.behindEnd))
	}
	return remarks
}

func bytesLie(n uint64) string {
	if n == 1 {
		return "1 byte lies"
	}
	return fmt.Sprintf("%d bytes lie", n)
}
