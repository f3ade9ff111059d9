package archive

import "packhorse/internal/investigation"

// Check judges a whole stream as Store does: its length against what was declared, and its ZIP
// directory. The stream comes in pieces of at most step bytes.
func Check(stream []byte, declared int64, step int) (investigation.Content, error) {
	c := newContent(declared, true)
	for len(stream) > 0 {
		n := min(step, len(stream))
		_, _ = c.Write(stream[:n])
		stream = stream[n:]
	}
	return c.whole()
}

// PutsMax is how often a put that meets another writer is sent.
const PutsMax = putsMax

// The most that is said of what is in a package.
const (
	TopMax      = topMax
	ExamplesMax = examplesMax
	QuotedMax   = quotedMax
	TailMax     = tailMax
)

// WriteCollection and ReadCollection are a collection's way into metadata and back.
var (
	WriteCollection = writeCollection
	ReadCollection  = readCollection
)
