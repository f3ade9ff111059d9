package zipinspect

import "packhorse/internal/investigation"

// Check checks a whole stream that comes in pieces of at most step bytes.
func Check(stream []byte, step int) (investigation.Content, error) {
	s := NewStream(true)
	for len(stream) > 0 {
		n := min(step, len(stream))
		_, _ = s.Write(stream[:n])
		stream = stream[n:]
	}
	return s.Content()
}

// The limits on a package's content.
const (
	TopMax      = topMax
	ExamplesMax = examplesMax
	QuotedMax   = quotedMax
	TailMax     = tailMax
)
